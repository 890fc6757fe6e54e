"""Binary content (RFC 3030) reaches hosts with CHUNKING and BINARYMIME octet by octet, by BDAT; no other host sees it."""

import os

import pytest
from post import Places, Post

from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import DEFAULT_FEATURES, ScriptedSink, drop, reply

HOSTILE = b"\r\n.\r\nMAIL FROM:<x@evil.test>\r\n\0bare\nfeed\rreturn\r\n..\r\nBDAT 5 LAST\r\nno end"
OPTIONS = ("BODY=BINARYMIME",)


@pytest.fixture(scope="module")
def scene():
    """Domains chunk<n>.test take binary content; of a place, the hosts take none."""
    places, hosts = Places(10), [f"127.0.3.{n + 1}" for n in range(12)]
    with ScriptedSink(places.hosts()) as sink, ScriptedSink(hosts, features=[*DEFAULT_FEATURES, "CHUNKING", "BINARYMIME"]) as chunk_sink:
        routes = {**places.routes(sink.port), **{f"chunk{n + 1}.test": f"{host}:{chunk_sink.port}" for n, host in enumerate(hosts)},
                  "both.test": f"127.0.0.9:{sink.port}, {hosts[11]}:{chunk_sink.port}"}
        settings = {"courier": {"routes": routes}, "retry": {"first": "100ms", "longest": "300ms"}}
        listeners = {"relay": {"role": "relay", "extensions": ["CHUNKING", "DSN", "BINARYMIME"]}}
        with Cluster(couriers=2, settings=settings, listeners=listeners) as cluster:
            post = Post(cluster, sink)
            post.places, post.chunk_sink = places, chunk_sink
            post.free = iter(range(1, 12))
            yield post
            cluster.wait_empty()
            Ledger([post], [sink, chunk_sink], cluster.faults, dropped=post.dropped).assert_balanced()


@pytest.fixture
def domain(scene):
    return f"chunk{next(scene.free)}.test"


def taken(scene, letter):
    return scene.chunk_sink.wait_for(lambda t: t.taken and t.ledger_id == letter.ledger_id, 20, f"{letter.ledger_id} at the sink")


# proves: H18 B27 B30 G03
@pytest.mark.parametrize("body", [HOSTILE, b"", b"\0", os.urandom(1 << 20)], ids=["hostile", "empty", "nul", "large"])
def test_it_arrives_octet_by_octet(scene, domain, body):
    letter = scene.send(f"r@{domain}", body=body, options=OPTIONS)
    transaction = taken(scene, letter)
    assert transaction.content.endswith(letter.content) and transaction.content.startswith(b"Received:")
    assert "BODY=BINARYMIME" in transaction.arguments.split() and transaction.chunks
    assert [t for t in scene.chunk_sink.transactions if "evil.test" in t.sender] == []


# proves: H18
def test_no_other_host_sees_it(scene):
    place = scene.places.take()
    letter = scene.send(place.address(), body=HOSTILE, options=OPTIONS)
    report = scene.wait_returned(letter)
    assert report.of(place.address())["Status"] == "5.6.3"
    assert report.parts[2].get_content_type() == "text/rfc822-headers"
    assert not any(t.ledger_id == letter.ledger_id and t.sender for t in scene.sink.transactions)


# proves: H18
def test_another_host_that_takes_it_is_found(scene):
    letter = scene.send("r@both.test", body=HOSTILE, options=OPTIONS)
    assert taken(scene, letter).content.endswith(letter.content)


# proves: H05
def test_a_refused_chunk_defers_and_the_next_message_goes_on(scene, domain):
    rule = scene.chunk_sink.rule("body", reply("452 4.3.1 no room"), recipient=f"r@{domain}", times=1)
    letter = scene.send(f"r@{domain}", body=b"z" * 600000, options=OPTIONS)
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.3.1" and rule.used == 1
    assert taken(scene, letter).content.endswith(letter.content)


# proves: H13 A05
def test_a_lost_reply_to_the_last_chunk_is_in_doubt_and_one_to_another_is_not(scene, domain):
    scene.chunk_sink.rule("body", drop(), recipient=f"early@{domain}", times=1)
    early = scene.send(f"early@{domain}", body=b"z" * 600000, options=OPTIONS)
    taken(scene, early)
    assert scene.told(early, "in_doubt") == []
    scene.chunk_sink.rule("dot", drop(taken=False), recipient=f"late@{domain}", times=1)
    late = scene.send(f"late@{domain}", body=b"z" * 600000, options=OPTIONS)
    taken(scene, late)
    assert len(scene.told(late, "in_doubt")) == 1


# proves: B27
def test_binary_and_plain_mail_share_a_connection(scene, domain):
    letters = [scene.send(f"r{n}@{domain}", body=HOSTILE if n % 2 else b"plain\r\n", options=OPTIONS if n % 2 else ()) for n in range(6)]
    for letter in letters:
        assert taken(scene, letter).content.endswith(letter.content)
