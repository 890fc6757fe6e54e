"""Where one queue could make no connection, others do not try first for a while; but no host is so dead that nobody tries it."""

import pytest
from post import Post, parse_line

from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import ScriptedSink, reply

DEAD, LIVE, HOME, BACK = "127.0.6.1", "127.0.6.2", "127.0.0.9", "127.0.6.3"


@pytest.fixture(scope="module")
def scene():
    zone = Zone(ttl=1).mx("origin.test", "mx.origin.test").a("mx.origin.test", HOME)
    zone.a("dead.host.test", DEAD).a("live.host.test", LIVE).a("back.host.test", BACK)
    for n in range(6):
        zone.mx(f"place{n}.test", "dead.host.test", "live.host.test")
    zone.mx("back1.test", "back.host.test").mx("back2.test", "back.host.test", "dead.host.test")
    with Dns(zone) as dns, ScriptedSink([LIVE, HOME]) as sink:
        with Cluster(settings={"courier": {"port": sink.port, "idle_time": "0s"}}, dns_port=dns.port) as cluster:
            yield Post(cluster, sink)
            cluster.wait_empty()


def failures(scene, queue):
    return [line for node in scene.cluster.of("courier") for line in node.log_text().splitlines()
            if "event=host_failed" in line and parse_line(line)["queue"] == queue]


# proves: I14 I13
def test_a_host_that_was_dead_for_one_queue_is_passed_over_by_the_others(scene):
    for n in range(6):
        letter = scene.send(f"r@place{n}.test")
        assert scene.wait_delivered(letter).session.host == LIVE
        assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"
        assert len(failures(scene, f"place{n}.test")) == (1 if n == 0 else 0)


# proves: I14
def test_a_dead_host_is_tried_when_no_other_is_left(scene):
    scene.wait_told(scene.send("r@back1.test"), "deferred")
    letter = scene.send("r@back2.test")
    scene.wait_told(letter, "deferred")
    assert len(failures(scene, "back2.test")) >= 2, "both of its hosts, although both were known to be dead"
    with ScriptedSink([BACK], port=scene.sink.port) as back:
        back.wait_taken(2, 20)  # well within the time that a dead host is remembered
        assert {t.recipients[0] for t in back.taken()} == {"r@back1.test", "r@back2.test"}


# proves: I14
def test_a_host_that_refuses_mail_is_not_dead(scene):
    rule = scene.sink.rule("connect", reply("421 4.3.2 busy", then_drop=True), host=LIVE, times=1)
    letter = scene.send("r@place1.test")
    scene.wait_delivered(letter)
    scene.sink.clear(rule)
    letter = scene.send("r@place2.test")
    scene.wait_delivered(letter)
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1" and failures(scene, "place2.test") == []
