"""Mail for later is not delivered before its time, mail that must be quick is not delivered after it, and mail that needs TLS never in the clear."""

import datetime
import json
import smtplib
import time

import pytest
from post import Places, Post

from harness.authority import Authority
from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import DEFAULT_FEATURES, ScriptedSink, reply


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Domains by<n>.test have a host with DELIVERBY."""
    places, hosts = Places(30), [f"127.0.3.{n + 1}" for n in range(6)]
    with ScriptedSink(places.hosts()) as sink, ScriptedSink(hosts, features=[*DEFAULT_FEATURES, "DELIVERBY 5"]) as by_sink:
        routes = {**places.routes(sink.port), **{f"by{n + 1}.test": f"{host}:{by_sink.port}" for n, host in enumerate(hosts)}}
        settings = {"courier": {"routes": routes}, "retry": {"first": "100ms", "longest": "300ms"}}
        authority = Authority(str(tmp_path_factory.mktemp("authority")))
        listeners = {"relay": {"role": "relay", "extensions": ["CHUNKING", "DSN", "FUTURERELEASE", "DELIVERBY"]},
                     "secure": {"role": "relay", "certificates": [authority.issue("mx.test")]}}
        with Cluster(couriers=2, settings=settings, listeners=listeners) as cluster:
            post = Post(cluster, sink)
            post.places, post.by_sink, post.authority = places, by_sink, authority
            yield post
            cluster.wait_empty()
            Ledger([post], [sink, by_sink], cluster.faults, dropped=post.dropped).assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


# ---- FUTURERELEASE (RFC 4865)


def test_mail_for_later_waits_and_says_so(scene, place):
    other = scene.places.take()
    begun = time.monotonic()
    letters = [scene.send(place.address(), options=("HOLDFOR=3", "ENVID=later", "RET=HDRS"), wishes=("NOTIFY=NEVER",)),
               scene.send([place.address("a"), other.address("b")], options=("HOLDFOR=3",))]
    told = scene.cluster.baridctl("why", letters[0].message_id)
    assert "held until" in told and "as its sender asked" in told
    shown = json.loads(scene.cluster.baridctl("msg", "show", letters[0].message_id, "--json"))
    assert (shown["envid"], shown["ret"], shown["jobs"][0]["recipients"][0]["notify"]) == ("later", "HDRS", "NEVER")
    assert shown["release_ms"] - shown["arrival_ms"] == 3000
    assert "ENVID=later; RET=HDRS; not before 20" in scene.cluster.baridctl("trace", letters[0].message_id)
    assert "(NOTIFY=NEVER)" in scene.cluster.baridctl("msg", "show", letters[0].message_id)
    for job in json.loads(scene.cluster.baridctl("why", letters[1].message_id, "--json"))["jobs"]:
        assert 0 < job["due_in_ms"] <= 3000
    for letter in letters:
        scene.wait_delivered(letter)
    assert time.monotonic() - begun >= 2.9
    scene.wait_delivered(letters[1], other.address("b"))


def test_a_retry_by_the_operator_does_not_bring_it_forward(scene, place):
    begun = time.monotonic()
    letter = scene.send(place.address(), options=("HOLDFOR=4",))
    scene.cluster.baridctl("msg", "retry", letter.message_id, "--yes")
    scene.wait_delivered(letter)
    assert time.monotonic() - begun >= 3.9


def test_a_time_by_the_clock_is_kept_too(scene, place):
    release = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    letter = scene.send(place.address(), options=(f"HOLDUNTIL={release.strftime('%Y-%m-%dT%H:%M:%SZ')}",))
    scene.wait_delivered(letter)
    assert datetime.datetime.now(datetime.timezone.utc) >= release.replace(microsecond=0)


# ---- DELIVERBY (RFC 2852)


def test_what_is_left_of_the_time_is_passed_on(scene):
    letter = scene.send("r@by1.test", options=("BY=100;RT",))
    transaction = scene.by_sink.wait_for(lambda t: t.taken and t.ledger_id == letter.ledger_id)
    word = next(word for word in transaction.arguments.split() if word.startswith("BY="))
    assert word in ("BY=100;RT", "BY=99;RT", "BY=98;RT")
    assert scene.wait_returned(letter).of("r@by1.test")["Action"] == "relayed", "every host on the way tells, for T was said"


@pytest.mark.parametrize("domain", ["by2.test", None])
def test_mail_to_be_returned_when_late_goes_only_where_it_can_be_quick(scene, domain):
    recipient = f"r@{domain}" if domain else scene.places.take().address()
    letter = scene.send(recipient, options=("BY=4;R",))
    assert scene.wait_returned(letter).of(recipient)["Status"] == "5.4.7"
    assert scene.copies(letter) == [] and not any(t.ledger_id == letter.ledger_id for t in scene.by_sink.transactions)


def test_mail_that_is_late_comes_back_in_time(scene):
    scene.by_sink.rule("rcpt", reply("451 4.2.1 wait"), recipient="late@by3.test")
    begun = time.monotonic()
    letter = scene.send("late@by3.test", options=("BY=7;R",))
    block = scene.wait_returned(letter).of("late@by3.test")
    assert (block["Action"], block["Status"]) == ("failed", "5.4.7") and time.monotonic() - begun < 15


def test_mail_that_may_be_late_is_told_of_and_tried_on(scene, place):
    scene.sink.rule("rcpt", reply("451 4.2.1 wait"), recipient=place.address())
    letter = scene.send(place.address(), options=("BY=2;N",))
    report = scene.wait_returned(letter)
    assert report.of(place.address())["Action"] == "delayed"
    scene.wait_told(letter, "deferred", len(scene.told(letter, "deferred")) + 3)
    assert len(scene.reports(letter)) == 1
    scene.sink.clear()
    scene.wait_delivered(letter)


# ---- REQUIRETLS (RFC 8689)


# proves: L15 K17
def test_mail_that_needs_tls_is_never_sent_in_the_clear(scene, place):
    letter = scene.letter(place.address(), body=b"secret\r\n", header=b"Subject: s\r\n")
    context = scene.authority.client()
    context.check_hostname = False  # the certificate is not this test's matter
    with smtplib.SMTP(*scene.cluster.address("secure", 1), timeout=60) as client:
        client.starttls(context=context)
        client.ehlo("client.test")
        scene.hand_over(client, letter, ("REQUIRETLS",))
    report = scene.wait_returned(letter)
    assert report.of(place.address())["Status"] == "5.7.30" and "secret" not in report.parts[2].as_string()
    assert not any(transaction.session.host in (place.first, place.second) for transaction in scene.sink.transactions)
