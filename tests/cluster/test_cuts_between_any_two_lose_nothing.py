"""
Two of each role, each on a host of its own under steady load; any two cut off from one another, also one way only: nothing is lost, no second
copy without a cause, and all goes on once it is mended, and meanwhile where there is another way.
"""

import pytest

from harness import wait
from harness.network import Network
from harness.redis import RedisServer

from hurt import SEED, Scene

NODES = ["ingress1", "ingress2", "dispatcher1", "dispatcher2", "courier1", "courier2"]


class Country:
    """A network with a host for each node, for Redis, and for the world outside."""

    def __init__(self, seed, **scene):
        self.network = Network("redis", "world", *NODES)
        self.redis = RedisServer(tcp=True, host=self.network.host("redis"))
        self.seed, self.scene = seed, scene

    def __enter__(self):
        self.redis.start()
        self.scene = Scene(self.seed, world=self.network.host("world"), redis=self.redis, hosts={name: self.network.host(name) for name in NODES},
                           **self.scene)
        return self.scene.__enter__()

    def __exit__(self, *how):
        self.network.mend()
        self.scene.__exit__(*how)
        self.redis.__exit__(*how)
        self.network.close()


def note_cut(scene, *names):
    """What a cut from Redis may cost a courier: its dots that were open then."""
    return [scene.cluster.faults.note(node.role, node.name, node.pid, "stop", lasting=True) for node in map(scene.cluster.node, names)]


# proves: A01 A05 A14
@pytest.mark.parametrize("one_way", [False, True], ids=["both ways", "one way"])
def test_nodes_cut_off_from_one_another_lose_nothing(one_way):
    with Country(SEED) as scene:
        network = scene.world.network
        scene.more(50)
        for one, other in (("dispatcher1", "courier1"), ("courier2", "dispatcher2"), ("ingress1", "dispatcher1"), ("dispatcher2", "ingress2"),
                           ("dispatcher1", "dispatcher2")):
            network.cut(one, other, one_way)
            scene.more(120)
            network.mend()
            scene.more(30)
        scene.settle().assert_balanced()


# proves: A01 A02 A05
@pytest.mark.parametrize("ways", [("node", "redis"), ("redis", "node"), None], ids=["to Redis", "from Redis", "both ways"])
def test_nodes_cut_off_from_redis_lose_nothing(ways):
    with Country(SEED + 1) as scene:
        network = scene.world.network
        scene.more(50)
        for name in ("courier1", "ingress1", "dispatcher1"):
            ends = [name if end == "node" else end for end in ways or ("redis", "node")]
            cuts = note_cut(scene, name)
            network.cut(*ends, one_way=ways is not None)
            scene.more(300)
            network.mend()
            scene.cluster.node(name).wait_ready(60)
            for cut in cuts:
                cut.end()
            scene.more(50)
        scene.settle().assert_balanced()


# proves: A01 A02
def test_redis_cut_off_from_all_loses_nothing():
    with Country(SEED + 2) as scene:
        network = scene.world.network
        for _ in range(3):
            scene.more(100)
            fault = scene.cluster.faults.note("redis", "redis", scene.cluster.redis.pid, "cut off", lasting=True)
            network.split("redis")
            wait.until(lambda: not any(node.is_ready() for node in scene.cluster.nodes), 30, "all to notice")
            network.mend()
            fault.end()
        scene.settle().assert_balanced()
