"""
`baridctl node drain`: a node gives back what it has, takes nothing new and stays, whatever restarts meanwhile; `node undrain` brings it back. One
cluster of two of each role for all of it.
"""

import json
import socket
import subprocess

import pytest
from login import Client
from post import Places, Post

from harness import wait
from harness.cluster import Cluster
from harness.process import http_get
from harness.sink import Gate, ScriptedSink, stall


class Scene(Post):
    def __init__(self, cluster, sink, places):
        super().__init__(cluster, sink, "drain")
        self.places = places

    def nodes(self, name=None):
        said = json.loads(self.cluster.baridctl("node", "show", f"{name}.relay.test", "--json") if name else self.cluster.baridctl("node", "list", "--json"))
        return {node["name"].partition(".")[0]: node for node in said["nodes"]}, said["orders_without_node"]

    def state(self, name):
        return self.nodes(name)[0].get(name, {"state": "not there"})["state"]

    def wait_state(self, name, state, timeout=15):
        wait.until(lambda: self.state(name) == state, timeout, lambda: f"{name} is {state}: {self.nodes(name)}")

    def drain(self, *names, more=("--wait", "--timeout", 20)):
        return self.cluster.baridctl("node", "drain", *[f"{name}.relay.test" for name in names], *more, timeout=40)

    def undrain(self, *names):
        self.cluster.baridctl("node", "undrain", *[f"{name}.relay.test" for name in names])
        for name in names:
            self.wait_state(name, "working")
            self.cluster.node(name).wait_ready()

    def begin(self, *names):
        """The same, not waited for."""
        self.drain(*names, more=())

    def wait_draining(self, name):
        self.wait_state(name, "draining")
        wait.until(lambda: "draining" in self.readiness(name)[1], 5, f"{name} says at /readyz that it drains")
        assert self.readiness(name)[0] == 503 and http_get(self.cluster.node(name).url("/healthz"))[0] == 200

    def readiness(self, name):
        return http_get(self.cluster.node(name).url("/readyz"))

    def refused(self, *words):
        """What a call that fails says."""
        with pytest.raises(AssertionError) as failure:
            self.cluster.baridctl("node", *words)
        return str(failure.value)

    def carriers(self, letters):
        return {line["node"].partition(".")[0] for letter in letters for line in self.told(letter, "delivered")}


@pytest.fixture(scope="module")
def scene():
    places = Places(40)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "dispatcher": {"queue_connections": 4}}
        with Cluster(ingress=2, dispatchers=2, couriers=2, settings=settings) as cluster:
            made = Scene(cluster, sink, places)
            yield made
            made.assert_balanced()


def greeting(address):
    with socket.create_connection(address, timeout=10) as made:
        return made.makefile("rb").readline()


# proves: A15 A16
def test_an_ingress_ends_its_sessions_between_transactions_and_takes_none(scene):
    place, node = scene.places.take(), scene.cluster.node("ingress2")
    idle, busy = Client(node.smtp), Client(node.smtp)
    assert busy.code("MAIL FROM:<s@origin.test>") == 250 and busy.code(f"RCPT TO:<{place.address('r')}>") == 250
    scene.begin("ingress2")
    code, lines = idle.read()
    assert code == 421 and lines[0].startswith("4.3.2"), "the idle one is told at its command boundary"
    assert idle.read()[0] == 0
    scene.wait_draining("ingress2")
    assert greeting(node.smtp).startswith(b"421 4.3.2 ")
    assert scene.nodes("ingress2")[0]["ingress2"]["left"] == 1, "drained is not said while a session is there"
    letter = scene.letter(place.address("r"))
    assert busy.code("DATA") == 354 and busy.code(letter.content.decode() + ".") == 250, "what was begun is taken"
    letter.acknowledged[letter.recipients[0]] = 1
    assert busy.read()[0] == 421
    scene.wait_state("ingress2", "drained")
    node.process.terminate()
    scene.cluster.restart(node)
    scene.wait_state("ingress2", "drained")
    assert greeting(node.smtp).startswith(b"421 4.3.2 "), "the order holds through a restart"
    scene.undrain("ingress2")
    assert greeting(node.smtp).startswith(b"220 ")
    scene.wait_delivered(letter)


# proves: A15 A16
def test_a_courier_finishes_what_is_behind_a_dot_and_gives_back_the_rest(scene):
    place, gate = scene.places.take(), Gate()
    scene.sink.rule("dot", stall(gate=gate), host=place.first, times=1)
    letters = scene.send_many([place.address(f"r{n}") for n in range(30)])
    gate.wait_held()
    name = next(node.name for node in scene.cluster.of("courier") if node.metrics()["barid_connections"] > 0)
    other = {"courier1": "courier2", "courier2": "courier1"}[name]
    scene.begin(name)
    wait.until(lambda: sum(bool(t.replied_at) for letter in letters for t in scene.copies(letter)) >= len(letters) - 2, 20, "others have done the rest")
    scene.wait_draining(name)
    assert scene.nodes(name)[0][name]["left"] > 0, "drained is not said while a dot is open"
    assert "not drained within 1 s" in scene.refused("drain", f"{name}.relay.test", "--wait", "--timeout", 1)
    gate.open()
    scene.drain(name)
    for letter in letters:
        scene.wait_delivered(letter)
        assert len(scene.copies(letter)) == 1 and scene.told(letter, "in_doubt") == []
    for node in (name, "dispatcher1", "dispatcher2"):  # neither a life of its own nor those who grant bring it back
        scene.cluster.kill(node)
        scene.cluster.restart(node)
        wait.until(lambda node=node: node in scene.nodes()[0] and scene.state(node) != "silent", 20, "it has joined")
        letters = scene.send_many([scene.places.take().address(f"r{n}") for n in range(5)])
        for letter in letters:
            scene.wait_delivered(letter)
        assert scene.carriers(letters) == {other}
        scene.wait_state(name, "drained")
    scene.undrain(name)
    scene.drain(other)
    letters = scene.send_many([scene.places.take().address(f"r{n}") for n in range(5)])
    for letter in letters:
        scene.wait_delivered(letter)
    assert scene.carriers(letters) == {name}
    scene.undrain(other)


# proves: A09 A16
def test_a_dispatcher_yields_its_partitions(scene):
    scene.drain("dispatcher1")
    wait.until(lambda: scene.nodes()[0]["dispatcher2"]["partitions"] == 256, 10, "the other one has all of them")
    scene.wait_delivered(scene.send(scene.places.take().address("r")))
    assert "no dispatcher would be left that works" in scene.refused("drain", "dispatcher2.relay.test")
    scene.drain("dispatcher2", more=("--yes", "--wait"))
    letter = scene.send(scene.places.take().address("r"))
    wait.until(lambda: scene.cluster.queue()["due"] == 1, 10, "without one it waits")
    assert not scene.cluster.status()["ready"] and scene.copies(letter) == []
    scene.undrain("dispatcher1", "dispatcher2")
    scene.wait_delivered(letter)


def test_orders_for_names_that_nobody_has_are_told_and_taken_back(scene):
    assert "no node has the name courier9.relay.test now" in scene.refused("drain", "courier9.relay.test")
    before = scene.nodes()[1]
    scene.drain("courier9", more=("--dry-run",))
    assert scene.nodes()[1] == before == []
    scene.drain("courier9", more=("--yes",))
    assert [order["name"] for order in scene.nodes()[1]] == ["courier9.relay.test"]
    assert "courier9.relay.test" in scene.cluster.baridctl("node", "list")
    assert scene.nodes("courier9")[1] and "no node" in scene.cluster.baridctl("node", "show", "courier9.relay.test")
    scene.cluster.baridctl("node", "undrain", "courier9.relay.test", "--dry-run")
    assert len(scene.nodes()[1]) == 1
    scene.cluster.baridctl("node", "undrain", "courier9.relay.test")
    assert scene.nodes()[1] == []
    assert "was not ordered to drain" in scene.refused("undrain", "courier9.relay.test")
    assert "there is no node" in scene.refused("show", "courier9.relay.test")


# proves: M06
def test_spoiled_orders_let_nobody_loose_and_stop_nobody(scene):
    scene.drain("courier1")
    redis = scene.cluster.redis.client()
    redis.rename("barid:{c}:orders", "kept")
    redis.set("barid:{c}:orders", "no hash")
    beats = {name: node["incarnation"] for name, node in scene.nodes()[0].items()}
    letters = scene.send_many([scene.places.take().address(f"r{n}") for n in range(5)])
    for letter in letters:
        scene.wait_delivered(letter)
    assert scene.carriers(letters) == {"courier2"}
    assert "is not what it should be" in scene.refused("drain", "courier1.relay.test", "--yes")
    redis.delete("barid:{c}:orders")
    redis.hset("barid:{c}:orders", mapping={"drain:courier1.relay.test": "no number", "later:x": "1", "drain:": "1", "rekey:y": "1", "drain:" + "x" * 300: "1"})
    wait.until(lambda: scene.nodes()[1] == [], 5, "what is no order of ours is passed over")
    scene.wait_state("courier1", "drained")
    redis.delete("barid:{c}:orders")
    redis.rename("kept", "barid:{c}:orders")
    scene.undrain("courier1")
    assert {name: node["incarnation"] for name, node in scene.nodes()[0].items()} == beats, "nobody was buried by it"


def test_usage_is_checked(scene):
    for words in (["drain"], ["drain", ""], ["drain", "x" * 300], ["drain", "x", "--timeout", "0"], ["show"], ["undrain"], ["drain", "x", "--for", "1h"]):
        argv = [f"{scene.cluster.build}/bin/baridctl", "--config", scene.cluster.conf, "node", *words]
        assert subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False).returncode == 2, words
