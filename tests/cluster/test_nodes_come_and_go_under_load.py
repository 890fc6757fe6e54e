"""
Nodes join, leave, are drained, stopped, named alike and disbelieved while mail flows: nothing is lost, nothing is refused, and only who died holding
a dot causes a second copy. Two of each role, and what a test adds.
"""

import itertools
import json

import pytest
from hurt import SEED, Scene

from harness import wait
from harness.cluster import Node

NODES = "barid:{c}:nodes"


class Load(Scene):
    """With what these tests do to nodes."""

    def add(self, role, number, name=None):
        """One more node, started and ready. name: of another one, which it has too."""
        node = Node(self.cluster, role, number)
        if name:
            node.process.env["BARID_NODE_NAME"] = f"{name}.relay.test"
        self.cluster.nodes.append(node)
        self.cluster.restart(node, wait_ready=True)
        return node

    def order(self, verb, node, *more):
        name = node.process.env["BARID_NODE_NAME"]
        self.cluster.baridctl("node", verb, name, *more, timeout=60)

    def leave(self, node):
        """In good order: drained, then ended."""
        self.order("drain", node, "--wait", "--timeout", 40)
        assert node.process.terminate() == 0
        self.order("undrain", node)

    def wait_working(self, count):
        """So many nodes have told that they work."""
        def working():
            return sum(node["state"] == "working" for node in json.loads(self.cluster.baridctl("node", "list", "--json"))["nodes"])
        wait.until(lambda: working() == count, 20, lambda: f"{count} nodes work, {working()} do")

    def claimed(self, node):
        return node.metrics().get("barid_claimed_total", 0)

    def wait_works(self, node, least=20):
        """A courier has its part of the work."""
        before = self.claimed(node)
        wait.until(lambda: self.claimed(node) >= before + least, 30, lambda: f"{node.name} works: {self.claimed(node) - before} jobs")

    def incarnations(self):
        with self.cluster.redis.client() as redis:
            return {name: value for name, value in redis.hgetall(NODES).items() if name != b"last"}

    def incarnation(self, node):
        """Of the life that it lives now."""
        return node.process.wait_log(r"event=joined .*incarnation=(\d+)").group(1)

    def refusals(self):
        return {code for (_, code) in self.generator.replies if code >= 400}

    def second_copies(self, ledger):
        return [key for key, copies in ledger.copies.items() if len(copies) > 1]

    def settle_without_second_copies(self):
        ledger = self.settle().assert_balanced()
        assert self.second_copies(ledger) == []
        assert self.cluster.metric("barid_in_doubt_total") == 0
        return ledger


# proves: A15 A16
def test_couriers_from_one_to_four_and_back_to_one():
    with Load(SEED) as scene:
        one, two = scene.cluster.of("courier")
        scene.more(50)
        scene.leave(two)
        scene.more(50)
        couriers = [one, scene.cluster.restart(two, wait_ready=True), scene.add("courier", 3), scene.add("courier", 4)]
        for node in couriers:
            scene.wait_works(node)
        for node in couriers[1:]:
            scene.leave(node)
            scene.more(50)
        scene.wait_works(one)
        assert scene.refusals() == set(), scene.generator.replies
        scene.settle_without_second_copies()


# proves: A15 A16
def test_every_role_restarts_in_turn_unnoticed():
    """Drained, ended, started, undrained: clients are told 421 at most, between transactions."""
    with Load(SEED + 1) as scene:
        for node in list(scene.cluster.nodes):
            scene.more(30)
            scene.order("drain", node, "--wait", "--timeout", 40)
            assert node.process.terminate() == 0
            scene.cluster.restart(node)
            scene.order("undrain", node)
            scene.wait_working(6)
        for node in scene.cluster.of("dispatcher"):  # and without orders
            assert node.process.terminate() == 0
            scene.cluster.restart(node, wait_ready=True)
            scene.more(30)
        assert scene.refusals() <= {421}, scene.generator.replies
        scene.settle_without_second_copies()


# proves: A16
def test_nodes_of_one_name_are_two_nodes():
    with Load(SEED + 2) as scene:
        twins = [scene.add("courier", 3, "courier1"), scene.add("dispatcher", 3, "dispatcher1")]
        first = scene.cluster.node("courier1")
        for node in (first, twins[0]):
            scene.wait_works(node)
        wait.until(lambda: all(node.metrics()["barid_partitions"] > 0 for node in scene.cluster.of("dispatcher")), 30, "each dispatcher has partitions")
        scene.order("drain", first, "--wait", "--timeout", 40)
        assert [node.http_get("/readyz")[1].startswith("draining") for node in (first, twins[0])] == [True, True], "an order is for all of that name"
        scene.more(50)
        scene.order("undrain", first)
        for node in (first, twins[0]):
            scene.wait_works(node)
        assert scene.refusals() == set(), scene.generator.replies
        scene.settle_without_second_copies()


# proves: A09
@pytest.mark.parametrize("role", ["ingress", "dispatcher"])
def test_a_node_whose_beats_are_old_is_buried_and_begins_anew(role):
    """Another count stands where it beats, above its own: its beats confirm nothing. (A courier that is heard would get a minute.)"""
    with Load(SEED + 3) as scene:
        scene.more(50)
        node = scene.cluster.of(role)[0]
        incarnation = scene.incarnation(node)
        with scene.cluster.redis.client() as redis:
            stats = redis.hget(NODES, incarnation).partition(b" ")[2]
            redis.hset(NODES, incarnation, b"1000000000 " + stats)
        scene.cluster.wait_log("dispatcher", rf"event=buried .*incarnation={incarnation}\b")
        node.process.wait_log(r"event=declared_dead")
        wait.until(lambda: len(scene.incarnations()) == 6 and incarnation.encode() not in scene.incarnations(), 20, "it has joined anew")
        scene.more(100)
        assert scene.refusals() == set(), scene.generator.replies
        scene.settle_without_second_copies()


# proves: A07 A09 K22
@pytest.mark.parametrize("names", [("dispatcher1",), ("courier1",), ("dispatcher1", "dispatcher2"), ("courier1", "courier2"),
                                   ("ingress1", "dispatcher1", "courier1")], ids="+".join)
def test_nodes_that_stand_still_cost_time_only(names):
    with Load(SEED + 4) as scene:
        scene.more(50)
        frozen = [scene.cluster.freeze(name) for name in names]
        lives = {scene.incarnation(node) for node, _ in frozen}
        if {"dispatcher1", "dispatcher2"} <= set(names):  # nobody buries, nobody grants: what is taken waits
            wait.until(lambda: scene.cluster.queue()["waiting"] > 200, 40, "mail waits")
            assert {life.encode() for life in lives} <= set(scene.incarnations())
        else:
            wait.until(lambda: not {life.encode() for life in lives} & set(scene.incarnations()), 20, "all that stand still are buried")
        for node, fault in frozen:
            scene.cluster.thaw(node, fault)
        wait.until(lambda: len(scene.incarnations()) == 6, 20, "all have joined again")
        for node, _ in frozen:
            if node.role == "courier":
                scene.wait_works(node)
        scene.more(50)
        assert scene.refusals() <= {421}, scene.generator.replies
        scene.settle().assert_balanced()


# proves: A16
def test_nodes_that_come_and_go_all_the_time_leave_nothing_behind():
    """Each role in turn gets a third node, which leaves at once or dies: in the end the cluster is as it was."""
    with Load(SEED + 5) as scene:
        numbers = itertools.count(3)
        for turn in range(2):
            for role in ("courier", "dispatcher", "ingress"):
                node = scene.add(role, next(numbers))
                scene.more(20)
                if turn == 0:
                    assert node.process.terminate() == 0
                else:
                    scene.cluster.kill(node)
        wait.until(lambda: len(scene.incarnations()) == 6, 20, "the dead are buried")
        scene.more(50)
        ledger = scene.settle().assert_balanced()
        assert len(scene.second_copies(ledger)) <= len(ledger.explained)
        with scene.cluster.redis.client() as redis:
            assert redis.keys("c:*") == [] and redis.keys("barid:{c}:orders") == []
