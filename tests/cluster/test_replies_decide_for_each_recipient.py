"""What a host says decides, recipient by recipient: delivered, tried again, another host, or returned."""

import pytest
from post import Places, Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import DEFAULT_FEATURES, ScriptedSink, drop, reply, stall


@pytest.fixture(scope="module")
def scene():
    places = Places(60)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port), "own_names": ["balancer.relay.test"], "idle_time": "200ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def sessions(scene, host):
    return [session for session in scene.sink.sessions if session.host == host]


def features(scene, host, *lines):
    """The host tells these extensions, and no others."""
    all_lines = ["sink.test", *lines]
    scene.sink.rule("ehlo", reply("\n".join([f"250-{line}" for line in all_lines[:-1]] + [f"250 {all_lines[-1]}"])), host=host,
                    match=lambda session, _: session.commands[-1].upper().startswith("EHLO"))


# proves: H01 H04
def test_helo_follows_a_refused_ehlo_and_then_nothing_is_extended(scene, place):
    scene.sink.rule("ehlo", reply("502 5.5.1 what is that"), host=place.first, match=lambda s, _: s.commands[-1].startswith("EHLO"))
    letter = scene.send(place.address(), body=b"\xc3\xbc\r\n", options=("BODY=8BITMIME",))
    arrived = scene.wait_delivered(letter)
    session, = sessions(scene, place.first)
    assert session.commands[0].startswith("EHLO ") and session.commands[1] == "HELO courier1.relay.test"
    assert arrived.arguments == ""


# proves: H01
def test_ehlo_says_our_own_name(scene, place):
    scene.wait_delivered(scene.send(place.address()))
    assert sessions(scene, place.first)[0].commands[0] == "EHLO courier1.relay.test"


# proves: H04 H19
def test_only_what_was_told_is_used(scene, place):
    features(scene, place.first, "ENHANCEDSTATUSCODES")
    letter = scene.send(place.address(), options=("BODY=8BITMIME",))
    assert scene.wait_delivered(letter).arguments == ""
    features(scene, place.second, "SIZE 100000", "8BITMIME")


# proves: H04 H19
def test_size_is_told_without_the_stuffed_dots(scene, place):
    letter = scene.send(place.address(), body=b".\r\n..\r\n.three\r\n", options=("BODY=8BITMIME",))
    arrived = scene.wait_delivered(letter)
    told = dict(part.split("=") for part in arrived.arguments.split())
    assert int(told["SIZE"]) == len(arrived.content)
    assert arrived.content.endswith(b".\r\n..\r\n.three\r\n")


# proves: H03 I13
@pytest.mark.parametrize("text", ["421 4.3.2 too busy", "450 4.3.2 not now", "554 5.7.1 not you"])
def test_a_refused_greeting_sends_it_to_the_next_host(scene, place, text):
    scene.sink.rule("connect", reply(text, then_drop=True), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.second
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"
    assert all(session.commands == [] for session in sessions(scene, place.first)), "nothing is said before 220"


# proves: I13 H09
@pytest.mark.parametrize("stage, text", [("ehlo", "421 4.3.2 going"), ("ehlo", "451 4.3.0 broken"), ("mail", "421 4.3.2 going")])
def test_a_host_that_stops_early_sends_it_to_the_next_host(scene, place, stage, text):
    scene.sink.rule(stage, reply(text, then_drop=True), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.second
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"
    assert scene.told(letter, "deferred") == []


# proves: H09 H05
@pytest.mark.parametrize("stage", ["rcpt", "data", "dot"])
def test_421_in_a_transaction_counts_as_not_sent_and_is_made_good(scene, place, stage):
    scene.sink.rule(stage, reply("421 4.3.2 going down", then_drop=True), host=place.first, times=1)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    scene.wait_settled(letter)
    assert len(scene.copies(letter)) == 1
    assert scene.reports(letter) == [] and scene.told(letter, "in_doubt") == []


# proves: H05 K01 K09 A06
def test_recipients_of_one_message_fare_differently(scene, place):
    scene.sink.rule("rcpt", reply("550 5.1.1 unknown here"), recipient=place.address("bad"))
    scene.sink.rule("rcpt", reply("450 4.2.1 mailbox busy"), recipient=place.address("busy"), times=1)
    letter = scene.send([place.address(name) for name in ("good", "bad", "busy")])
    report = scene.wait_returned(letter)
    scene.wait_delivered(letter, place.address("busy"))
    scene.wait_settled(letter)
    first, second = scene.copies(letter)
    assert (first.recipients, second.recipients) == ([place.address("good")], [place.address("busy")])
    assert report.recipients == [place.address("bad")] and report.of(place.address("bad"))["Status"] == "5.1.1"
    assert len(scene.reports(letter)) == 1


# proves: H05
@pytest.mark.parametrize("stage", ["mail", "data", "dot"])
def test_5xx_to_a_whole_transaction_fails_all_its_recipients(scene, place, stage):
    scene.sink.rule(stage, reply("554 5.6.0 not this message"), host=place.first)
    letter = scene.send([place.address("a"), place.address("b")])
    report = scene.wait_returned(letter)
    assert sorted(report.recipients) == [place.address("a"), place.address("b")]
    assert report.of(place.address("a"))["Status"] == "5.6.0"
    assert sessions(scene, place.second) == []


# proves: H05 I13
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_4xx_in_a_transaction_is_tried_again_later(scene, place, stage):
    scene.sink.rule(stage, reply("451 4.3.0 later"), host=place.first, times=2)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    scene.wait_settled(letter)
    assert [(line["status"], line["code"]) for line in scene.told(letter, "deferred")] == [("4.3.0", "451")] * 2
    assert len(scene.copies(letter)) == 1 and sessions(scene, place.second) == []


# proves: H06
@pytest.mark.parametrize("text, status", [("559 strange", "5.0.0"), ("550 4.1.1 wrong class", "5.0.0"), ("599 5.7.99 odd", "5.7.99")])
def test_the_first_digit_decides(scene, place, text, status):
    scene.sink.rule("rcpt", reply(text), host=place.first)
    assert scene.wait_returned(scene.send(place.address())).of(place.address())["Status"] == status


# proves: H06
@pytest.mark.parametrize("text", ["459 strange", "450 5.1.1 wrong class", "354 out of place"])
def test_what_is_not_a_clear_no_is_tried_again(scene, place, text):
    scene.sink.rule("rcpt", reply(text), host=place.first, times=1)
    letter = scene.send(place.address())
    assert scene.wait_told(letter, "deferred")[0]["status"].startswith("4.")
    scene.wait_delivered(letter)
    assert scene.reports(letter) == []


# proves: H08
@pytest.mark.parametrize("text", ["452 4.5.3 too many", "552 too many recipients"])
@pytest.mark.parametrize("told", [DEFAULT_FEATURES, ["SIZE 1000000"]])
def test_recipients_over_the_hosts_limit_follow_at_once(scene, place, text, told):
    features(scene, place.first, *told)
    scene.sink.rule("rcpt", reply(text), host=place.first, match=lambda _, t: len(t.recipients) >= 3)
    recipients = [place.address(f"r{n}") for n in range(8)]
    letter = scene.send(recipients)
    scene.wait_delivered(letter, recipients[-1])
    scene.wait_settled(letter)
    assert [t.recipients for t in scene.copies(letter)] == [recipients[:3], recipients[3:6], recipients[6:]]
    assert {line["attempt"] for line in scene.told(letter, "delivered")} == {"1"} and scene.told(letter, "deferred") == []


# proves: H08
def test_452_to_the_first_recipient_is_tried_again_later(scene, place):
    scene.sink.rule("rcpt", reply("452 4.2.2 full"), host=place.first, times=1)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    assert scene.told(letter, "deferred")[0]["status"] == "4.2.2"


# proves: H10
@pytest.mark.parametrize("told", [DEFAULT_FEATURES, ["SIZE 1000000"]])
def test_nothing_is_delivered_when_every_recipient_was_refused(scene, place, told):
    features(scene, place.first, *told)
    scene.sink.rule("rcpt", reply("550 5.1.1 no"), host=place.first)
    letter = scene.send([place.address("a"), place.address("b")])
    report = scene.wait_returned(letter)
    assert sorted(report.recipients) == [place.address("a"), place.address("b")]
    assert not any(t.dot_at for t in scene.sink.transactions if t.session.host == place.first)
    if "PIPELINING" not in told:
        assert not any(command == "DATA" for session in sessions(scene, place.first) for command in session.commands)


# proves: H13
def test_a_lost_reply_to_the_dot_is_tried_again_and_the_doubt_is_told(scene, place):
    before = scene.cluster.metric("barid_in_doubt_total", "courier")
    scene.sink.rule("dot", drop(taken=True), host=place.first, times=1)
    letter = scene.send(place.address())
    wait.until(lambda: len(scene.copies(letter)) == 2, 20, "the second copy")
    scene.wait_settled(letter)
    doubt, = scene.told(letter, "in_doubt")
    assert doubt["to"] == place.address()
    assert scene.reports(letter) == []
    assert scene.cluster.metric("barid_in_doubt_total", "courier") == before + 1


# proves: H14
@pytest.mark.parametrize("action", [drop(), stall(2), reply("500 what")])
def test_success_needs_no_reply_to_quit(scene, place, action):
    scene.sink.rule("quit", action, host=place.first)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    wait.until(lambda: sessions(scene, place.first)[0].commands[-1] == "QUIT", 10, "QUIT")
    scene.wait_settled(letter)
    assert len(scene.copies(letter)) == 1


# proves: H18
def test_eight_bit_content_goes_as_it_is_to_a_host_without_8bitmime(scene, place):
    features(scene, place.first, "SIZE 1000000", "PIPELINING")
    body = "Grüße\r\n".encode() + bytes(range(128, 256)) + b"\r\n"
    letter = scene.send(place.address(), body=body, options=("BODY=8BITMIME",))
    arrived = scene.wait_delivered(letter)
    assert arrived.content.endswith(body) and "BODY" not in arrived.arguments


# proves: H19 K01
def test_a_message_above_the_hosts_size_fails_without_being_sent(scene, place):
    features(scene, place.first, "SIZE 1000", "PIPELINING")
    letter = scene.send(place.address(), body=b"x" * 70 + b"\r\n" + b"y" * 2000 + b"\r\n")
    assert scene.wait_returned(letter).of(place.address())["Status"] == "5.3.4"
    assert not any(command.startswith("MAIL") for session in sessions(scene, place.first) for command in session.commands)
    small = scene.send(place.address())
    scene.wait_delivered(small)


# proves: H22 I08
@pytest.mark.parametrize("name", ["courier1.relay.test", "Balancer.Relay.Test", "ingress1.relay.test"])
@pytest.mark.parametrize("stage", ["connect", "ehlo"])
def test_a_host_with_our_own_name_is_never_sent_to(scene, place, name, stage):
    scene.sink.rule(stage, reply(f"220 {name} ESMTP" if stage == "connect" else f"250 {name}"), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.second
    assert not any(session.transactions for session in sessions(scene, place.first))


# proves: H22
def test_it_is_tried_again_when_all_hosts_have_our_own_name(scene, place):
    ours = [scene.sink.rule("connect", reply("220 balancer.relay.test ESMTP"), host=host) for host in (place.first, place.second)]
    letter = scene.send(place.address())
    assert scene.wait_told(letter, "deferred", 2)[0]["status"] == "4.4.6"
    scene.sink.clear(*ours)
    scene.wait_delivered(letter)
