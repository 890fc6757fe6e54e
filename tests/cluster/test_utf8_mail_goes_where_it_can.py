"""Internationalized mail goes to hosts with SMTPUTF8 only; to others it is never sent in another form, and only what needs it fails."""

import pytest
from post import Places, Post

from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import DEFAULT_FEATURES, ScriptedSink, reply

UTF8 = [*DEFAULT_FEATURES, "SMTPUTF8"]
HEADER = "Subject: Grüße\r\n".encode()
SENDER = "müller@origin.test"


@pytest.fixture(scope="module")
def scene():
    """Of each place the first host is an old one. Domains new<n>.test know SMTPUTF8, mixed<n>.test have one of each."""
    places, new = Places(20), [f"127.0.3.{n + 1}" for n in range(6)]
    with ScriptedSink(places.hosts()) as sink, ScriptedSink(new, features=UTF8, port=None) as utf8_sink:
        routes = {**places.routes(sink.port), **{f"new{n + 1}.test": f"{host}:{utf8_sink.port}" for n, host in enumerate(new)},
                  **{f"mixed{n + 1}.test": f"127.0.0.9:{sink.port}, {host}:{utf8_sink.port}" for n, host in enumerate(new)},
                  "origin.test": f"127.0.3.1:{utf8_sink.port}", "ascii.test": f"127.0.0.9:{sink.port}",
                  "xn--bcher-kva.test": f"127.0.3.6:{utf8_sink.port}"}
        settings = {"courier": {"routes": routes}, "retry": {"first": "100ms", "longest": "300ms"}}
        with Cluster(couriers=1, settings=settings, listeners={"relay": {"role": "relay"}}) as cluster:
            post = Post(cluster, sink)
            post.places, post.utf8_sink = places, utf8_sink
            yield post
            cluster.wait_empty()
            Ledger([post], [sink, utf8_sink], cluster.faults, dropped=post.dropped).assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def taken_by(sink, letter):
    return sink.wait_for(lambda t: t.taken and t.sender != "" and t.ledger_id == letter.ledger_id, 20, f"{letter.ledger_id} at a sink")


def report_at(sink, scene, letter):
    post = Post(scene.cluster, sink)
    return post.wait_returned(letter)


# proves: N03
@pytest.mark.parametrize("sender, recipient, header", [
    (SENDER, "r@new1.test", b""), ("s@ascii.test", "jürgen@new2.test", b""), ("s@ascii.test", "r@new3.test", HEADER)])
def test_what_needs_it_says_so(scene, sender, recipient, header):
    letter = scene.send(recipient, sender=sender, header=header, options=("SMTPUTF8", "BODY=8BITMIME"))
    taken = taken_by(scene.utf8_sink, letter)
    assert "SMTPUTF8" in taken.arguments.split() and taken.sender == sender and taken.recipients == [recipient]
    assert header in taken.content


# proves: N04
def test_what_does_not_need_it_goes_anywhere(scene, place):
    letter = scene.send(place.address(), sender="s@ascii.test", header=b"Subject: plain\r\n", options=("SMTPUTF8", "BODY=8BITMIME"))
    assert "SMTPUTF8" not in scene.wait_delivered(letter).arguments


# proves: N03 I13
@pytest.mark.parametrize("sender, recipient, header", [(SENDER, "r@mixed1.test", b""), ("s@ascii.test", "jürgen@mixed2.test", b""), ("s@ascii.test", "r@mixed3.test", HEADER)])
def test_another_host_that_knows_it_is_found(scene, sender, recipient, header):
    letter = scene.send(recipient, sender=sender, header=header, options=("SMTPUTF8", "BODY=8BITMIME"))
    taken = taken_by(scene.utf8_sink, letter)
    assert taken.recipients == [recipient] and scene.copies(letter) == []
    assert not any("<" + recipient in command for session in scene.sink.sessions for command in session.commands)


# proves: N03 K16
@pytest.mark.parametrize("sender, local, header, status", [
    ("s@ascii.test", "r", HEADER, "5.6.9"), ("s@ascii.test", "jürgen", b"", "5.6.7"), (SENDER, "r", b"", "5.6.7")])
def test_it_fails_where_nobody_knows_it(scene, place, sender, local, header, status):
    letter = scene.send(place.address(local), sender=sender, header=header, options=("SMTPUTF8", "BODY=8BITMIME"))
    report = report_at(scene.utf8_sink if sender == SENDER else scene.sink, scene, letter)
    block = report.of(place.address(local))
    assert (block["Action"], block["Status"]) == ("failed", status)
    assert report.transaction.recipients == [sender]
    assert ("SMTPUTF8" in report.transaction.arguments) == (sender == SENDER)
    kind = "message/global-delivery-status" if sender == SENDER else "message/delivery-status"
    assert report.parts[1].get_content_type() == kind
    if local != "r":
        assert block["Final-Recipient"] == rf"utf-8; j\x{{FC}}rgen@{place.domain}"
    assert report.parts[2].get_content_type() == ("message/global" if header else "message/rfc822")
    assert scene.copies(letter) == []


# proves: N06
def test_of_mixed_recipients_only_those_that_need_it_fail(scene, place):
    plain, other = place.address("plain"), place.address("jürgen")
    letter = scene.send([other, plain], sender="s@ascii.test", options=("SMTPUTF8", "BODY=8BITMIME"))
    taken = scene.wait_delivered(letter)
    assert taken.recipients == [plain] and "SMTPUTF8" not in taken.arguments
    report = scene.wait_returned(letter)
    assert report.recipients == [other] and report.of(other)["Status"] == "5.6.7"


# proves: N06 N03
def test_of_mixed_recipients_those_that_need_it_go_to_the_host_that_knows_it(scene):
    letter = scene.send(["jürgen@mixed4.test", "plain@mixed4.test"], sender="s@ascii.test", options=("SMTPUTF8", "BODY=8BITMIME"))
    taken = taken_by(scene.utf8_sink, letter)
    assert "jürgen@mixed4.test" in taken.recipients
    if "plain@mixed4.test" not in taken.recipients:
        assert scene.wait_delivered(letter).recipients == ["plain@mixed4.test"]


# proves: N03
def test_it_waits_while_a_host_that_may_know_it_is_away(scene, place):
    """The best host lacks it, the other one cannot be reached: another day it may do."""
    scene.sink.rule("connect", reply("421 4.3.2 busy", then_drop=True), host=place.second)
    letter = scene.send(place.address("jürgen"), sender="s@ascii.test", options=("SMTPUTF8", "BODY=8BITMIME"))
    deferred = scene.wait_told(letter, "deferred", 2)
    assert all(line["status"].startswith("4.") for line in deferred) and scene.reports(letter) == []
    scene.cluster.baridctl("msg", "delete", letter.message_id, "--yes")
    scene.dropped.add((letter.ledger_id, place.address("jürgen")))


# proves: N02 N12
def test_a_domain_in_its_own_letters_is_found_as_a_labels(scene):
    letter = scene.send("r@bücher.test", sender="s@ascii.test", options=("SMTPUTF8", "BODY=8BITMIME"))
    transaction = taken_by(scene.utf8_sink, letter)
    assert transaction.session.host == "127.0.3.6" and transaction.recipients == ["r@xn--bcher-kva.test"]
    assert "SMTPUTF8" not in transaction.arguments, "A-labels need no SMTPUTF8"
    letter.recipients = transaction.recipients  # for the ledger
    letter.acknowledged = {transaction.recipients[0]: letter.sent_at}
