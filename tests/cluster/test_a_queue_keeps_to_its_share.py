"""A queue has the connections it was granted, and no more of its courier than leaves room for others; a busy host is not a dead one."""

import threading

import pytest
from post import Places, Post, most_at_once

from harness import wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, reply, stall


@pytest.fixture(scope="module")
def scene():
    places = Places(40)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"log": {"level": "debug"}, "courier": {"port": sink.port, "routes": places.routes(sink.port), "connections": 16, "max_claimed": 40},
                    "dispatcher": {"queue_start": 10, "queue_connections": 10}}
        with Cluster(couriers=1, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


@pytest.fixture
def gate(scene):
    """Opened at the end, however that comes."""
    made = Gate()
    yield made
    made.open()
    scene.sink.clear()


def sessions_at(scene, host):
    return [session for session in scene.sink.sessions if session.host == host]


def open_at(scene, host):
    return [session for session in sessions_at(scene, host) if session.closed_at is None]


class Crowd:
    """A host that bears so many connections and greets any other with 421."""

    def __init__(self, scene, host, most):
        self.scene, self.host, self.most = scene, host, most
        self.let_in, self.turned_away, self.lock = [], 0, threading.Lock()
        scene.sink.rule("connect", reply("421 4.3.2 too many connections", then_drop=True), host=host, match=self.is_full)

    def is_full(self, session, _):
        with self.lock:
            if sum(other.closed_at is None for other in self.let_in) >= self.most:
                self.turned_away += 1
                return True
            self.let_in.append(session)
            return False


# proves: H16 H17
def test_a_host_that_turns_some_connections_away_is_busy_not_dead(scene, place, gate):
    crowd = Crowd(scene, place.first, 3)
    scene.sink.rule("connect", reply("421 4.3.2 go to the other", then_drop=True), host=place.second)
    scene.sink.rule("dot", stall(0.02), host=place.first)
    letters = scene.send_many([place.address(f"r{n}") for n in range(120)])
    for letter in letters:
        scene.wait_delivered(letter)
    assert crowd.turned_away > 0
    assert not any(scene.told(letter, "deferred") for letter in letters[::10]), "the others carry it"


# proves: H16
def test_with_a_smaller_share_connections_go_after_their_message(scene, place, gate):
    scene.wait_delivered(scene.send(place.address("first")))  # the host is known to take mail
    scene.sink.rule("dot", stall(gate=gate), host=place.first)
    letters = scene.send_many([place.address(f"r{n}") for n in range(120)])
    gate.wait_held(5)
    granted = f"queue={place.domain} "
    scene.cluster.reload({"dispatcher": {"limits": {place.domain: "connections=2"}}})
    wait.until(lambda: any(granted in line and " connections=2 " in line for line in scene.cluster.of("dispatcher")[0].log_text().splitlines()), 10, "the new limit")
    wait.until(lambda: scene.cluster.metric("barid_connections", "courier") == sum(session.closed_at is None for session in scene.sink.sessions),
               10, "the sink has taken up all that were opened before")
    begun = {session: len(session.transactions) for session in sessions_at(scene, place.first)}
    gate.open()
    for letter in letters:
        scene.wait_delivered(letter)
        assert len(scene.copies(letter)) == 1
    went_on = [session for session, before in begun.items() if len(session.transactions) > before + 2]  # one may have been sent behind a dot
    assert len(begun) >= 5 and len(went_on) <= 2
    assert all(session.commands[-1] == "QUIT" for session in begun if session.closed_at), "none was broken off"
    opened_later = [session for session in sessions_at(scene, place.first) if session not in begun]
    assert most_at_once(opened_later + went_on) <= 2


# proves: J09 H17
def test_hosts_that_do_not_greet_leave_connections_for_others(scene, place, gate):
    deaf = [scene.places.take() for _ in range(4)]
    for one in deaf:
        scene.wait_delivered(scene.send(one.address("first")))  # it was well a moment ago: the dispatcher grants it much
        scene.sink.rule("connect", stall(gate=gate), host=one.first)
    late = [letter for one in deaf for letter in scene.send_many([one.address(f"r{n}") for n in range(20)])]
    wait.until(lambda: all(open_at(scene, one.first) for one in deaf), 10, "each is being asked")
    for letter in scene.send_many([place.address(f"r{n}") for n in range(20)]):
        scene.wait_delivered(letter)
    gate.open()
    for letter in late:
        scene.wait_delivered(letter)


# proves: J09
def test_a_queue_that_does_not_move_leaves_claims_for_others(scene, place, gate):
    slow = scene.places.take()
    scene.wait_delivered(scene.send(slow.address("first")))
    scene.sink.rule("dot", stall(gate=gate), host=slow.first)
    late = scene.send_many([slow.address(f"r{n}") for n in range(200)])
    gate.wait_held(3)
    for letter in scene.send_many([place.address(f"r{n}") for n in range(40)]):
        scene.wait_delivered(letter)
    gate.open()
    for letter in late:
        scene.wait_delivered(letter)
