"""
`baridctl queue redirect`: mail of a queue goes another way, to a transport of the settings or to hosts, old mail and new; over connections of its own;
and the way the settings have when the rule is undone.
"""

import json

import pytest
from post import Places
from ruler import Ruler

from harness import wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, reply, stall
from harness.slots import partition_of

SMART, OURS = "127.0.3.1", "127.0.3.2"


@pytest.fixture(scope="module")
def scene():
    places = Places(16)
    with ScriptedSink(places.hosts() + [SMART]) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port), "own_addresses": [OURS]},
                    "transports": {"smart": {"hosts": [f"{SMART}:{sink.port}"]}},
                    "dispatcher": {"pause_first": "60s", "pause_longest": "60s"}}
        with Cluster(ingress=1, dispatchers=2, couriers=2, settings=settings) as cluster:
            made = Ruler(cluster, sink, "redirect")
            made.places = places
            yield made
            made.assert_balanced()


def hosts(scene, letters):
    return {scene.wait_delivered(letter).session.host for letter in letters}


def test_to_a_transport_and_back(scene):
    place = scene.places.take()
    before = scene.send(place.address("before"))
    assert hosts(scene, [before]) == {place.first}
    rule = scene.ruling("queue", "redirect", place.domain, "--to", "smart", "--because", "their host is slow")
    letters = scene.send_many([place.address(f"r{n}") for n in range(5)])
    assert hosts(scene, letters) == {SMART}
    told = scene.why(place.domain)
    assert told["redirected_to"] == "smart"
    assert "smart" in scene.cluster.baridctl("queue", "show", place.domain)
    scene.unruling(rule)
    assert hosts(scene, scene.send_many([place.address(f"q{n}") for n in range(5)])) == {place.first}


def test_to_hosts_over_connections_of_its_own(scene):
    """The same host is the way of another queue: no connection carries mail of both."""
    place, other = scene.places.take(), scene.places.take()
    rule = scene.ruling("queue", "redirect", place.domain, "--to", f"{other.first}:{scene.sink.port}")
    letters = []
    for n in range(6):
        letters += [scene.send(place.address(f"r{n}")), scene.send(other.address(f"r{n}"))]
        assert hosts(scene, letters[-2:]) == {other.first}
    for session in {scene.copies(letter)[0].session for letter in letters}:
        domains = {t.recipients[0].partition("@")[2] for t in session.transactions}
        assert len(domains) == 1, domains
    scene.unruling(rule)
    assert hosts(scene, [scene.send(place.address("home"))]) == {place.first}


def test_what_waits_for_a_dead_host_goes_at_once(scene):
    place = scene.places.take()
    scene.sink.shut(place.first, place.second)
    old = scene.send_many([place.address(f"old{n}") for n in range(5)])
    wait.until(lambda: scene.why(place.domain)["paused_for_ms"] > 30000, 30, "the queue rests for a minute")
    rule = scene.ruling("queue", "redirect", place.domain, "--to", "smart")
    for letter in old:
        scene.wait_delivered(letter, timeout=15)
    assert hosts(scene, old) == {SMART}
    scene.unruling(rule)
    scene.sink.open_again(place.first, place.second)
    assert hosts(scene, [scene.send(place.address("new"))]) == {place.first}


def test_what_is_on_its_way_is_finished_and_the_rest_goes_the_new_way(scene):
    place, gate = scene.places.take(), Gate()
    scene.sink.rule("dot", stall(gate=gate), host=place.first)
    letters = scene.send_many([place.address(f"r{n}") for n in range(60)])
    gate.wait_held()
    rule = scene.ruling("queue", "redirect", place.domain, "--to", "smart")
    gate.open()
    scene.sink.clear()
    for letter in letters:
        scene.wait_delivered(letter)
        assert len(scene.copies(letter)) == 1
    assert SMART in hosts(scene, letters)
    scene.unruling(rule)


def test_of_one_sender_alone(scene):
    place = scene.places.take()
    rule = scene.ruling("queue", "redirect", place.domain, "--sender", "@shop.test", "--to", "smart")
    shop, usual = scene.send(place.address("a"), sender="s@shop.test"), scene.send(place.address("b"))
    assert hosts(scene, [usual]) == {place.first}
    assert hosts(scene, [shop]) == {SMART}
    no = scene.sink.rule("rcpt", reply("450 4.2.1 later"), host=SMART)
    late = scene.send(place.address("c"), sender="s@shop.test")
    scene.wait_told(late, "deferred")
    scene.unruling(rule)
    assert hosts(scene, [late]) == {place.first}
    scene.sink.clear(no)


def test_orders_to_a_queue_mean_what_travels_apart_too(scene):
    place = scene.places.take()
    rule = scene.ruling("queue", "redirect", place.domain, "--sender", "@shop.test", "--to", "smart")
    no = scene.sink.rule("rcpt", reply("450 4.2.1 later"), host=SMART)
    letter = scene.send(place.address("a"), sender="s@shop.test")
    scene.wait_told(letter, "deferred")
    for order in "hold", "release":
        if order == "release":
            scene.sink.clear(no)
        told = json.loads(scene.cluster.baridctl("queue", order, place.domain, "--yes", "--json"))
        assert told["done"] == told["jobs"] == 1, told
    assert hosts(scene, [letter]) == {SMART}
    scene.unruling(rule)


def test_what_travels_apart_is_counted_once_where_both_queues_are_in_one_partition(scene):
    rule = scene.ruling("queue", "redirect", "*", "--sender", "@twin.test", "--to", "smart")
    domain = next(name for name in (f"twin{n}.test" for n in range(100000)) if partition_of(name) == partition_of(f"{name}/~{rule}"))
    no = scene.sink.rule("rcpt", reply("450 4.2.1 later"), host=SMART)
    letter = scene.send(f"a@{domain}", sender="s@twin.test")
    scene.wait_told(letter, "deferred")
    assert json.loads(scene.cluster.baridctl("queue", "hold", domain, "--yes", "--json"))["jobs"] == 1
    assert json.loads(scene.cluster.baridctl("queue", "release", domain, "--dry-run", "--json"))["jobs"] == 1
    scene.sink.clear(no)
    assert json.loads(scene.cluster.baridctl("queue", "release", domain, "--yes", "--json"))["done"] == 1
    assert hosts(scene, [letter]) == {SMART}
    scene.unruling(rule)


def test_a_mistake_in_the_way_returns_no_mail(scene):
    place = scene.places.take()
    rule = scene.ruling("queue", "redirect", place.domain, "--to", f"{OURS}:{scene.sink.port}")
    letter = scene.send(place.address())
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.4.6"
    scene.unruling(rule)
    assert hosts(scene, [letter]) == {place.first}
