"""A courier that was buried may not end a message, and a slow remote is no sign of death."""

import os

import pytest
from post import Places, Post
from raw_host import RawHost

from harness import wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, reply, stall

LARGE = (b"x" * 70 + b"\r\n") * 120000
SLOW = "127.0.6.21"


@pytest.fixture(scope="module")
def scene():
    places = Places(12)
    with ScriptedSink(places.hosts()) as sink:
        routes = {**places.routes(sink.port), "slow.test": f"{SLOW}:{sink.port}"}
        with Cluster(couriers=2, settings={"courier": {"port": sink.port, "routes": routes, "idle_time": "0s"}}) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def holder(scene, host):
    """The courier that has a connection to this host open."""
    for node in scene.cluster.of("courier"):
        with open(f"/proc/{node.pid}/net/tcp") as table:
            lines = [line.split() for line in table][1:]
        wanted = "".join(f"{int(part):02X}" for part in reversed(host.split(".")))
        inodes = {fields[9] for fields in lines if fields[2] == f"{wanted}:{scene.sink.port:04X}" and fields[3] == "01"}
        if inodes & open_sockets(node.pid):
            return node
    return None


def open_sockets(pid):
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def freeze_until_buried(scene, node):
    """Frozen until the dispatcher has buried it; returns what thaws it."""
    before = scene.cluster.metric("barid_buried_total", "dispatcher")
    node, fault = scene.cluster.freeze(node)
    scene.cluster.wait_metric("barid_buried_total", before + 1, "dispatcher", timeout=20)
    return lambda: scene.cluster.thaw(node, fault)


# proves: A07
def test_frozen_before_the_dot_and_thawed_after_its_burial(scene, place):
    gate = Gate()
    scene.sink.rule("data", stall(gate=gate), host=place.first, times=1)
    letter = scene.send(place.address())
    gate.wait_held()
    node = wait.until(lambda: holder(scene, place.first), 10, "the courier at work")
    thaw = freeze_until_buried(scene, node)
    arrived = scene.wait_delivered(letter)
    thaw()
    gate.open()
    node.process.wait_log("event=declared_dead")
    node.wait_ready()
    scene.wait_settled(letter)
    wait.until(lambda: all(s.closed_at for s in scene.sink.sessions if s.host == place.first), 10, "the old connection's end")
    dots = [t for t in scene.sink.dots() if t.session.host == place.first]
    assert dots == [arrived], "one dot, and not from the one that was buried"
    assert scene.reports(letter) == []


# proves: A07
def test_frozen_in_the_content_and_thawed_after_its_burial(scene):
    seen = []

    def serve(connection, pause):
        connection.sendall(b"220 slow.test\r\n")
        for answer in (b"250 slow.test\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        number, tail = len(seen), b""
        seen.append(tail)
        while not pause(0.1 if number == 0 and not may_flow else 0):
            if number == 0 and not may_flow:
                continue
            piece = connection.recv(1 << 16)
            if not piece:
                return
            tail = (tail + piece)[-5:]
            seen[number] = tail
            if tail == b"\r\n.\r\n":
                connection.sendall(b"250 2.0.0 Ok\r\n")
                connection.recv(1000)
                connection.sendall(b"221 2.0.0 Bye\r\n")
                return

    may_flow = []
    with RawHost(SLOW, scene.sink.port, serve):
        letter = scene.send("r@slow.test", body=LARGE)
        node = wait.until(lambda: seen and holder(scene, SLOW), 20, "content on its way")
        thaw = freeze_until_buried(scene, node)
        wait.until(lambda: len(seen) == 2 and seen[1] == b"\r\n.\r\n", 30, "another courier's dot")
        thaw()
        may_flow.append(True)
        node.process.wait_log("event=declared_dead")
        node.wait_ready()
        scene.wait_settled(letter)
        assert [tail == b"\r\n.\r\n" for tail in seen] == [False, True]
    scene.dropped.add((letter.ledger_id, "r@slow.test"))


# proves: A07 K22 A06
def test_frozen_at_the_recipients_reply_and_reported_once(scene, place):
    gate = Gate()
    scene.sink.rule("rcpt", stall(gate=gate, text="550 5.1.1 no"), host=place.first, times=1)
    scene.sink.rule("rcpt", reply("550 5.1.1 no"), host=place.first)
    letter = scene.send(place.address())
    gate.wait_held()
    node = wait.until(lambda: holder(scene, place.first), 10, "the courier at work")
    thaw = freeze_until_buried(scene, node)
    scene.wait_returned(letter)
    gate.open()
    thaw()
    node.process.wait_log("event=declared_dead")
    node.wait_ready()
    scene.wait_settled(letter)
    assert len(scene.reports(letter)) == 1


# proves: A05 A07
def test_frozen_behind_the_dot_is_told_as_a_doubt(scene, place):
    gate = Gate()
    scene.sink.rule("dot", stall(gate=gate), host=place.first, times=1)
    letter = scene.send(place.address())
    gate.wait_held()
    node = wait.until(lambda: holder(scene, place.first), 10, "the courier at work")
    thaw = freeze_until_buried(scene, node)
    wait.until(lambda: len(scene.copies(letter)) == 2, 20, "the second copy")
    gate.open()
    thaw()
    node.process.wait_log("event=declared_dead")
    scene.wait_settled(letter)
    assert len(scene.copies(letter)) == 2 and scene.reports(letter) == []
    assert scene.cluster.metric("barid_reaped_total", "dispatcher") >= 1


# proves: A08 H17
def test_a_dot_answered_late_is_one_copy(scene, place):
    scene.sink.rule("dot", stall(8), host=place.first, times=1)
    letter = scene.send(place.address())
    wait.until(lambda: any(t.session.host == place.first for t in scene.sink.dots()), 10, "the dot")
    other = scene.places.take()
    letters = []
    while not scene.told(letter, "delivered"):
        letters.append(scene.send(other.address(f"r{len(letters)}")))
        scene.wait_delivered(letters[-1])
    scene.wait_settled(letter)
    assert len(scene.copies(letter)) == 1 and scene.told(letter, "in_doubt") == []
    assert len(letters) > 3
