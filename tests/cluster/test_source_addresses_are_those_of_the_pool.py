"""Mail leaves from the addresses of its lane's pool, under the name that belongs to them; a destination of the wrong family, or a dead one, is passed over."""

import pytest
from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import ScriptedSink

POOLS = {"default": {"addresses": ["127.0.3.1", "127.0.3.2"], "helo_name": "out.origin.test"},
         "bulk": {"addresses": ["127.0.4.1"], "helo_name": "bulk.origin.test"},
         "both": {"addresses": ["127.0.5.1", "::1"]},
         "six": {"addresses": ["::1"]},
         "elsewhere": {"addresses": ["192.0.2.77"]}}
LANES = {name: {"senders": [f"{name}@origin.test"], "pool": name} for name in ("bulk", "both", "six", "elsewhere")}


def make_zone():
    zone = Zone(ttl=1).mx("origin.test", "mx.origin.test").a("mx.origin.test", "127.0.0.9")
    zone.mx("one.test", "mx.one.test").a("mx.one.test", "127.0.0.2")
    zone.mx("both.test", "mx.both.test").a("mx.both.test", "127.0.0.3").aaaa("mx.both.test", "::1")
    zone.mx("six.test", "mx.six.test").aaaa("mx.six.test", "::1")
    zone.mx("dead6.test", "mx.dead6.test").a("mx.dead6.test", "127.0.0.4").aaaa("mx.dead6.test", *[f"fd00:dead::{n}" for n in range(1, 9)])
    zone.mx("dead4.test", "mx.dead4.test").aaaa("mx.dead4.test", "::1").a("mx.dead4.test", *[f"127.0.8.{n}" for n in range(1, 9)])
    return zone


@pytest.fixture(scope="module")
def scene():
    with Dns(make_zone()) as dns, ScriptedSink([*(f"127.0.0.{n}" for n in range(2, 10)), "::1"]) as sink:
        settings = {"courier": {"port": sink.port, "allow_private": ["127.0.0.0/8", "::1/128", "fd00::/8"], "idle_time": "100ms",
                                "connect_timeout": "1s", "max_addresses": 5},
                    "pools": POOLS, "lanes": LANES}
        with Cluster(settings=settings, dns_port=dns.port) as cluster:
            post = Post(cluster, sink)
            yield post
            post.assert_balanced()


def deliver(scene, recipient, sender="s@origin.test"):
    letter = scene.send(recipient, sender=sender)
    session = scene.wait_delivered(letter).session
    wait.until(lambda: session.closed_at, 20, "the end of its idle time")
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"
    return session


# proves: H21 H01
def test_mail_leaves_from_its_pool_under_its_name(scene):
    for sender, pool in (("s", "default"), ("bulk", "bulk")):
        session = deliver(scene, "r@one.test", f"{sender}@origin.test")
        assert session.peer[0] in POOLS[pool]["addresses"] and session.helo == POOLS[pool]["helo_name"]


# proves: H21
def test_the_addresses_of_a_pool_take_turns(scene):
    assert {deliver(scene, "r@one.test").peer[0] for _ in range(4)} == set(POOLS["default"]["addresses"])


# proves: H21 I10
def test_an_address_of_the_destinations_family_is_used(scene):
    assert deliver(scene, "r@six.test", "both@origin.test").peer[0] == "::1"
    assert deliver(scene, "r@one.test", "both@origin.test").peer[0] == "127.0.5.1"


# proves: H21
@pytest.mark.parametrize("sender, host", [("s", "127.0.0.3"), ("six", "::1")])
def test_hosts_of_a_family_that_the_pool_lacks_are_passed_over(scene, sender, host):
    for _ in range(3):
        assert deliver(scene, "r@both.test", f"{sender}@origin.test").host == host


# proves: H21
def test_mail_waits_where_the_pool_lacks_the_only_family(scene):
    letter = scene.send("r@six.test")
    told = scene.wait_told(letter, "deferred")[0]
    assert told["status"] == "4.4.1" and "family" in told["reply"]
    scene.cluster.reload({"pools": {"default": {"addresses": ["127.0.3.1", "127.0.3.2", "::1"]}}})
    try:
        assert scene.wait_delivered(letter).session.host == "::1"
    finally:
        scene.cluster.reload({"pools": {"default": POOLS["default"]}})


# proves: H21 I10
@pytest.mark.parametrize("domain, host", [("dead6.test", "127.0.0.4"), ("dead4.test", "::1")])
def test_a_dead_family_does_not_take_all_the_tries(scene, domain, host):
    for _ in range(2):
        assert deliver(scene, f"r@{domain}", "both@origin.test").host == host
