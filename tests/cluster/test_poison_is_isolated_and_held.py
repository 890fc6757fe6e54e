"""
A message that ends every courier that works it: here a courier is killed whenever it gives the poison's recipient to a host. Others that were in
its hands twice are tried one at a time from then on, and delivered; the poison waits longer each time and is put aside after the fifth.
"""

import pytest
from post import Post
from test_buried_courier_sends_no_dot import holder

from harness import wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, stall

HOST, HOME = "127.0.3.1", "127.0.3.2"
CRASHES_MOST = 5
WAITS_MS = {2: 10000, 3: 40000, 4: 160000}


class Scene(Post):
    """A poison and innocent mail of the same queue and of another one."""

    def __init__(self, cluster, sink):
        super().__init__(cluster, sink)
        self.redis = cluster.redis.client()
        self.gate, self.door = Gate(), Gate()
        self.cure = sink.rule("rcpt", stall(gate=self.gate), match=lambda session, _: "<poison" in session.commands[-1])
        sink.rule("data", stall(gate=self.door), domain="one.test")  # the innocents stay in hand
        self.innocents = self.send_many([f"good{n}@one.test" for n in range(4)])
        self.door.wait_held(4)
        self.poison = self.send("poison@one.test")
        self.crashes = 0

    def record(self, letter, field):
        return self.redis.hget(self.key(letter), field)

    def key(self, letter):
        return next(self.redis.scan_iter(f"j:*:{letter.message_id}.0", 1000), None)

    def index(self, kind, letter, queue=""):
        """The score of a letter's job in an index of its partition."""
        tag = self.key(letter).split(b":")[1]
        return self.redis.zscore(kind + b":" + tag + queue.encode(), f"{letter.message_id}.0")

    def crash(self):
        """Kills the courier that has the poison in hand, and has it back; waits until its claims are given back."""
        self.crashes += 1
        self.gate.wait_held(self.crashes, 30)
        session = [s for s in self.sink.sessions if any("<poison" in command for command in s.commands)][-1]
        node = holder(self.cluster, session)
        self.cluster.kill(node)
        self.cluster.restart(node)
        wait.until(lambda: self.record(self.poison, "x") == b"%d" % self.crashes, 30, lambda: f"crash {self.crashes} is counted, x is {self.record(self.poison, 'x')}")

    def wait_told_ms(self):
        """How long the poison was put off by its last crash."""
        seconds, micros = self.redis.time()
        return self.index(b"q", self.poison, ":one.test") - (seconds * 1000 + micros / 1000)

    def bring_forward(self):
        tag = self.key(self.poison).split(b":")[1]
        self.redis.zadd(b"q:" + tag + b":one.test", {f"{self.poison.message_id}.0": 1}, xx=True)
        self.redis.zadd(b"d:" + tag, {"one.test": 1})


@pytest.fixture
def scene():
    with ScriptedSink([HOST, HOME]) as sink:
        settings = {"courier": {"port": sink.port, "routes": {"one.test": f"{HOST}:{sink.port}", "two.test": f"{HOST}:{sink.port}",
                                                              "origin.test": f"{HOME}:{sink.port}"}}}
        with Cluster(couriers=2, settings=settings) as cluster:
            yield Scene(cluster, sink)


# proves: A10 M08
def test_a_message_that_crashes_couriers_is_held_and_no_other_is(scene):
    for crash in range(1, CRASHES_MOST + 1):
        scene.crash()
        others = [int(scene.record(letter, "x") or 0) for letter in scene.innocents if scene.key(letter)]
        assert all(x <= 2 for x in others), "who is tried alone takes nobody along"
        if crash == 2:
            assert others == [2] * 4, "they were in the same hands"
            scene.door.open()
        if crash in WAITS_MS:
            assert 0.75 * WAITS_MS[crash] - 3000 < scene.wait_told_ms() < 1.25 * WAITS_MS[crash]
            scene.bring_forward()
        scene.wait_delivered(scene.send(f"r{crash}@two.test"))

    for letter in scene.innocents:
        scene.wait_delivered(letter)
    assert scene.index(b"h", scene.poison) and scene.cluster.queue()["held"] == 1
    told = [f"{line['event']} {line.get('why')}" for line in scene.told(scene.poison, role="dispatcher")]
    assert any("held crashed couriers" in line for line in told), told
    assert "crashed couriers" in scene.cluster.baridctl("trace", scene.poison.message_id)
    assert "crashed couriers" in scene.cluster.baridctl("why", scene.poison.message_id)
    assert scene.cluster.metric("barid_held_total", "dispatcher") == 1
    assert scene.copies(scene.poison) == [] and scene.reports(scene.poison) == []

    scene.sink.clear(scene.cure)  # the operator knows better now
    scene.gate.open()
    scene.cluster.baridctl("msg", "release", "--yes", scene.poison.message_id)
    scene.wait_delivered(scene.poison)
    scene.assert_balanced()
