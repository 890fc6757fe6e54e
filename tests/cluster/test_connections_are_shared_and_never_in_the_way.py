"""Connections carry message after message, what goes stale is nobody's failure, and one slow destination stops no other."""

import pytest
from post import Places, Post, most_at_once

from harness import wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import Gate, ScriptedSink, drop, reply, stall


@pytest.fixture(scope="module")
def scene():
    places = Places(50)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port), "idle_time": "2s", "max_per_connection": 10},
                    "dispatcher": {"limits": {places.all[0].domain: "connections=2", places.all[1].domain: "rate=120"}}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places, post.limited, post.rated = places, places.take(), places.take()
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def sessions(scene, host):
    return [session for session in scene.sink.sessions if session.host == host]


# proves: H15
def test_messages_one_after_another_share_a_connection(scene, place):
    for letter in [scene.send(place.address()) for _ in range(3)]:
        scene.wait_delivered(letter)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    assert len(sessions(scene, place.first)) <= 3
    assert max(len(s.transactions) for s in sessions(scene, place.first)) >= 2


# proves: H15
def test_a_connection_ends_after_its_share_of_messages(scene, place):
    gate = Gate()
    scene.sink.rule("connect", stall(gate=gate), host=place.first)
    letters = scene.send_many([place.address(f"r{n}") for n in range(45)])
    gate.open()
    for letter in letters:
        scene.wait_delivered(letter)
    assert max(len(s.transactions) for s in sessions(scene, place.first)) <= 10


# proves: H15
def test_an_idle_connection_is_ended_with_quit(scene, place):
    scene.wait_delivered(scene.send(place.address()))
    wait.until(lambda: sessions(scene, place.first)[0].commands[-1] == "QUIT", 10, "QUIT after the idle time")


# proves: H15
def test_a_transaction_that_was_refused_is_reset_before_the_next(scene, place):
    scene.sink.rule("mail", reply("451 4.7.1 not this sender"), host=place.first, sender="bad@origin.test", times=1)
    scene.wait_delivered(scene.send(place.address()))
    scene.sink.rule("rcpt", reply("550 5.1.1 no"), recipient=place.address("no"))
    refused = scene.send(place.address("no"))
    scene.wait_returned(refused)
    after = scene.send(place.address("after"))
    arrived = scene.wait_delivered(after)
    assert arrived.recipients == [place.address("after")]


# proves: H15
def test_a_connection_closed_while_idle_is_no_failure(scene, place):
    scene.wait_delivered(scene.send(place.address()))
    scene.sink.rule("mail", drop(), host=place.first, times=1)
    letter = scene.send(place.address())
    arrived = scene.wait_delivered(letter)
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1" and scene.told(letter, "deferred") == []
    assert arrived.session.host == place.first, "the host itself is well"


# proves: H15
def test_a_421_to_an_idle_connection_is_no_failure(scene, place):
    scene.wait_delivered(scene.send(place.address()))
    scene.sink.rule("mail", reply("421 4.4.2 idle too long", then_drop=True), host=place.first, times=1)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1" and scene.told(letter, "deferred") == []


# proves: H17 J09
def test_a_stalled_destination_stops_no_other(scene):
    stalled = [scene.places.take() for _ in range(3)]
    gate = Gate()
    for place, stage in zip(stalled, ("connect", "mail", "dot")):
        scene.sink.rule(stage, stall(gate=gate), host=place.first)
        scene.sink.rule(stage, stall(gate=gate), host=place.second)
    slow = [letter for place in stalled for letter in scene.send_many([place.address(f"r{n}") for n in range(40)])]
    gate.wait_held(3)
    other = scene.places.take()
    for letter in scene.send_many([other.address(f"r{n}") for n in range(20)]):
        scene.wait_delivered(letter)
    assert not any(transaction.replied_at for letter in slow for transaction in scene.copies(letter))
    gate.open()
    for letter in slow:
        scene.wait_delivered(letter)


# proves: H17
@pytest.mark.parametrize("text", ["421 4.7.0 slow down", "450 4.7.1 slow down", "452 4.3.1 slow down"])
def test_a_destination_that_throttles_slows_down_no_other(scene, place, text):
    throttle = scene.sink.rule("mail", reply(text, then_drop=text.startswith("421")), host=place.first)
    also = scene.sink.rule("mail", reply(text, then_drop=text.startswith("421")), host=place.second)
    slow = scene.send_many([place.address(f"r{n}") for n in range(10)])
    scene.wait_told(slow[0], "deferred")
    other = scene.places.take()
    for letter in scene.send_many([other.address(f"r{n}") for n in range(10)]):
        scene.wait_delivered(letter)
        assert scene.told(letter, "deferred") == []
    scene.sink.clear(throttle, also)
    for letter in slow:
        scene.wait_delivered(letter)


# proves: H15 H17
@pytest.mark.parametrize("limit", [{"connections": 2}, {"max_claimed": 4}])
def test_many_destinations_share_what_a_courier_may_use(scene, limit):
    scene.cluster.reload({"courier": limit})
    try:
        for node in scene.cluster.of("courier"):
            wait.until(lambda node=node: node.log_text().count("event=config_loaded") >= 2, 10, "the new limit")
        busy = [scene.places.take() for _ in range(8)]
        hosts = {host for place in busy for host in (place.first, place.second)}
        scene.sink.rule("dot", stall(0.02), match=lambda session, _: session.host in hosts)
        letters = scene.send_many([place.address(f"r{n}") for n in range(10) for place in busy])
        for letter in letters:
            scene.wait_delivered(letter)
        assert all(line["attempt"] == "1" for letter in letters for line in scene.told(letter, "delivered"))
        if "connections" in limit:
            assert most_at_once([s for s in scene.sink.sessions if s.host in hosts]) <= 4
    finally:
        scene.cluster.reload({"courier": {"connections": 500, "max_claimed": 2000}})


# proves: H16
def test_a_destination_never_sees_more_connections_than_its_limit(scene):
    gate = Gate()
    scene.sink.rule("dot", stall(0.02), host=scene.limited.first)
    scene.sink.rule("connect", stall(gate=gate), host=scene.limited.first, times=1)
    generator = Generator(scene.cluster.addresses, lambda n: ("s@origin.test", [scene.limited.address(f"r{n}")]), sessions=10, limit=120)
    with generator:
        generator.wait_done()
    gate.open()
    wait.until(lambda: len([t for t in scene.sink.taken() if t.session.host == scene.limited.first]) == 120, 60, "120 messages")
    assert most_at_once(sessions(scene, scene.limited.first)) == 2
    scene.items += generator.items


# proves: H16
def test_a_destination_never_gets_messages_faster_than_its_rate(scene):
    scene.send_many([scene.rated.address(f"r{n}") for n in range(9)])
    begins = wait.until(lambda: (lambda times: times if len(times) == 9 else None)(
        sorted(t.dot_at for t in scene.sink.taken() if t.session.host == scene.rated.first)), 30, "nine messages")
    # 120 a minute: two a second, after a burst of at most two seconds' worth while a grant moves.
    for first in range(len(begins)):
        for last in range(first + 1, len(begins)):
            seconds = begins[last] - begins[first]
            assert last - first + 1 <= 2 * seconds + 4, (begins, first, last)
    assert begins[-1] - begins[0] >= 2.4
