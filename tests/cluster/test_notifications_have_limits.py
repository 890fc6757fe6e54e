"""A storm of failures is no storm of notifications: so many to one address and to one domain, in the whole cluster; the rest is logged and counted."""

import email

import pytest
from post import Places, Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply


def scene_with(places, sink, **limits):
    routes = {**places.routes(sink.port), "other.test": f"{places.HOME}:{sink.port}"}
    return Cluster(couriers=3, settings={"courier": {"routes": routes}, "dsn": limits})


@pytest.fixture(name="places")
def places_that_refuse():
    return Places(12)


@pytest.fixture(name="sink")
def sink_that_refuses(places):
    with ScriptedSink(places.hosts()) as sink:
        sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda session, _: session.host != places.HOME)
        yield sink


def storm(post, places, sender, count):
    """Failures of many queues, so that all couriers have some."""
    spots = [places.take() for _ in range(6)]
    return [post.send(spots[n % 6].address(f"r{n}"), sender=sender) for n in range(count)]


def returned(post, letters):
    """Those that were reported; the others are told to the ledger as dropped."""
    found = [letter for letter in letters if post.reports(letter)]
    for letter in letters:
        if letter not in found:
            line, = post.told(letter, "dsn_dropped")
            assert line["why"] == "more than dsn.limit_per_sender allows" or line["why"] == "more than dsn.limit_per_domain allows"
            post.dropped.add((letter.ledger_id, letter.recipients[0]))
    return found


# proves: K19
def test_one_address_gets_so_many_from_the_whole_cluster(places, sink):
    with scene_with(places, sink, limit_per_sender="5/1h") as cluster:
        post = Post(cluster, sink)
        letters = storm(post, places, "Flooded@origin.test", 30)
        cluster.wait_empty()
        assert len(returned(post, letters)) == 5
        assert cluster.metric("barid_dsn_limited_total", "courier") == 25
        assert cluster.metric("barid_dsn_dropped_total", "courier") == 25
        quiet = post.send(places.take().address(), sender="quiet@origin.test")
        post.wait_returned(quiet)
        again = post.send(places.take().address(), sender="flooded@ORIGIN.test")  # the same, however it is written
        wait.until(lambda: post.told(again, "dsn_dropped"), 20, "one more that is kept back")
        returned(post, [again])
        assert "no dsn: more than dsn.limit_per_sender allows" in cluster.baridctl("trace", again.message_id)
        post.assert_balanced()


# proves: K19
def test_one_domain_gets_so_many_whatever_the_address(places, sink):
    with scene_with(places, sink, limit_per_sender="4/1h", limit_per_domain="7/1h") as cluster:
        post = Post(cluster, sink)
        letters = [*storm(post, places, "one@origin.test", 6), *storm(post, places, "two@origin.test", 6)]
        elsewhere = post.send(letters[0].recipients, sender="s@other.test")
        cluster.wait_empty()
        assert len(returned(post, letters)) == 7 and post.reports(elsewhere)
        post.assert_balanced()


# proves: K19 K22
def test_couriers_killed_while_limits_are_asked_report_once(places, sink):
    """The verdict waits for the limits' answer, and is one write with its notification all the same."""
    with scene_with(places, sink, limit_per_sender="1000/1h") as cluster:
        post = Post(cluster, sink)
        letters = []
        for _ in range(2):
            letters += storm(post, places, "s@origin.test", 20)
            cluster.restart(cluster.kill("courier"))
        cluster.wait_empty()
        for letter in letters:
            assert len({email.message_from_bytes(report.content)["Message-ID"] for report in post.reports(letter)}) == 1, letter.ledger_id
        post.assert_balanced()
