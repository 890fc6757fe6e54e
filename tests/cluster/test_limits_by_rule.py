"""
`baridctl limit set`: connections and rate of a queue or a site as the operator says, before what the settings have; a second later nobody exceeds them,
and undone, the settings are in force.
"""

import time

import pytest
from post import Places, most_at_once
from ruler import Ruler

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, stall

SECOND = 1.2  # until it is in force, and the last reply


@pytest.fixture(scope="module")
def scene():
    places = Places(8)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "dispatcher": {"queue_connections": 12, "queue_start": 12}}
        with Cluster(ingress=1, dispatchers=2, couriers=3, settings=settings) as cluster:
            made = Ruler(cluster, sink, "limit")
            made.places = places
            yield made
            made.assert_balanced()


def busy(scene, host):
    """Sessions of a host that are open now."""
    return sum(1 for s in list(scene.sink.sessions) if s.host == host and s.closed_at is None)


def most_since(scene, hosts, since):
    """How many sessions were open at once since then."""
    class Cut:
        def __init__(self, session):
            self.opened_at, self.closed_at = max(session.opened_at, since), session.closed_at
    return most_at_once([Cut(s) for s in list(scene.sink.sessions) if s.host in hosts and (s.closed_at is None or s.closed_at > since)])


def in_force(scene, rule_words):
    """Gives the rule; returns (its id, when it must be in force)."""
    rule = scene.give(*rule_words)
    return rule, time.monotonic() + SECOND


def test_connections(scene):
    place = scene.places.take()
    slow = scene.sink.rule("dot", stall(0.15), host=place.first)
    with scene.load(place) as generator:
        wait.until(lambda: busy(scene, place.first) > 4, 20, "more than the rule will allow are open")
        rule, since = in_force(scene, ("limit", "set", place.domain, "connections=2"))
        wait.until(lambda: time.monotonic() > since + 3, 10, "some seconds under the rule")
        assert most_since(scene, [place.first], since) <= 2, "overshoot 0"
        assert "2 connections" in scene.cluster.baridctl("why", place.domain)
        scene.undo(rule)
        wait.until(lambda: busy(scene, place.first) > 3, 20, "more again")
        generator.stop()
        scene.sink.clear(slow)
        scene.cluster.wait_empty()


def test_rate(scene):
    place = scene.places.take()
    with scene.load(place, rate=100) as generator:
        wait.until(lambda: len(scene.mails_to(place.first)) > 100, 20, "mail flows")
        rule, since = in_force(scene, ("limit", "set", place.domain, "rate=300"))
        wait.until(lambda: time.monotonic() > since + 4, 10, "some seconds under the rule")
        until = time.monotonic()
        count = len([t for t in scene.mails_to(place.first, since) if t.began_at <= until])
        assert count <= 5 * (until - since) + 5, f"{count} messages in {until - since:.1f} s"  # a second's worth may be saved up
        scene.undo(rule)
        now = time.monotonic()
        wait.until(lambda: len(scene.mails_to(place.first, now)) > 60, 20, "as fast as before")
        generator.stop()
        scene.cluster.wait_empty()


def test_a_site_that_several_domains_share(scene):
    first, second = scene.places.take(), scene.places.take()
    scene.cluster.reload({"courier": {"routes": {second.domain: f"{first.first}:{scene.sink.port}"}}})
    slow = scene.sink.rule("dot", stall(0.15), host=first.first)
    with scene.load(first, second) as generator:
        wait.until(lambda: busy(scene, first.first) > 6, 20, "more than the rule will allow are open")
        rule, since = in_force(scene, ("limit", "set", f"site:{first.first}", "connections=3"))
        since += 2  # owners learn where the mail goes by the next report, and lend what they have then
        wait.until(lambda: time.monotonic() > since + 3, 10, "some seconds under the rule")
        assert most_since(scene, [first.first], since) <= 3
        scene.undo(rule)
        wait.until(lambda: busy(scene, first.first) > 5, 20, "more again")
        generator.stop()
        scene.sink.clear(slow)
        scene.cluster.wait_empty()
