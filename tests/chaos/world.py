"""
Where a run takes place: a host (harness/network.py) for each node and each Redis server, one for the hosts mail goes to and their DNS, one for
the clients. Only the test's own eye is never cut off.
"""

import random

import load
from plan import CLUSTER, SENTINEL, STANDALONE

from harness.cluster import ROLES, Cluster, merged
from harness.dns import Dns
from harness.entrance import Entrance
from harness.network import Network
from harness.redis import RedisServer
from harness.replicas import RedisCluster, RedisWithSentinels
from harness.wall import Wall

COUNTS = {"ingress": 3, "dispatcher": 2, "courier": 3}
_SERVERS = {STANDALONE: 1, SENTINEL: 3, CLUSTER: 9}
_REDIS = {"auto-aof-rewrite-min-size": "32mb"}
_HELD = {"store": {"replicas": 1}}


class World:
    """store: one of plan.STORES. settings: of the Cluster. Open it in a `with`; everything runs inside."""

    def __init__(self, store, seed, settings, build=None, appendfsync="always"):
        self.kind, self.seed = store, seed
        self.nodes = [f"{role}{number + 1}" for role in ROLES for number in range(COUNTS[role])]
        self.servers = [f"server{number + 1}" for number in range(_SERVERS[store])]
        self.network = Network("world", "clients", *self.nodes, *self.servers)
        host = self.network.host
        world = host("world")
        places = {site: world.add_address() for site in load.SITES}
        self.sink, self.dns = load.sink(seed, places, world), Dns(load.zone(places), host=world)
        self.redis = self._new_store(appendfsync, [host(name) for name in self.servers])
        self.entrance = Entrance()
        rows = merged(merged({"courier": {"port": self.sink.port}}, self.entrance.settings), {} if store == STANDALONE else _HELD)
        self.cluster = Cluster(ingress=COUNTS["ingress"], dispatchers=COUNTS["dispatcher"], couriers=COUNTS["courier"], redis=self.redis,
                               dns_port=self.dns.address, settings=merged(rows, settings), seed=seed, listeners=self.entrance.listeners, build=build,
                               hosts={name: host(name) for name in self.nodes})
        self.walls = {node.name: Wall(node.process, self.cluster.folder) for node in self.cluster.nodes}

    def _new_store(self, appendfsync, hosts):
        if self.kind == STANDALONE:
            return RedisServer(appendfsync=appendfsync, tcp=True, options=_REDIS, host=hosts[0])
        if self.kind == SENTINEL:
            return RedisWithSentinels(appendfsync=appendfsync, options=_REDIS, hosts=hosts)
        return RedisCluster(primaries=3, replicas=2, appendfsync=appendfsync, options=_REDIS, hosts=hosts)

    def __enter__(self):
        for part in (self.sink, self.dns, self.redis):
            part.__enter__()
        self.cluster.start()
        self.entrance.open(self.cluster)
        return self

    def __exit__(self, *_):
        for node in self.cluster.nodes:
            node.process.kill()
        self.redis.stop()
        self.dns.__exit__(None, None, None)
        self.sink.__exit__(None, None, None)
        self.entrance.close()
        self.network.close()

    def load(self, rate):
        return load.Load(self.entrance.doors(self.cluster, relays=8), self.sink, self.seed, rate, host=self.network.host("clients"))

    # -- what faults are about

    def primaries(self):
        """The Redis servers that are in charge of something, as far as they answer."""
        if self.kind == CLUSTER:
            return self.redis.owners()
        primary = self.redis.primary if self.kind == SENTINEL else self.redis
        return [primary] if primary else []

    def owner_of(self):
        """slot -> the server that has it now, or None: as a function, for many slots."""
        if self.kind == CLUSTER:
            return {slot: server for server in self.redis.owners() for slot in self.redis.slots_of(server)}.get
        primary = next(iter(self.primaries()), None)
        return lambda _: primary

    def replicas(self):
        primaries = self.primaries()
        return [server for server in self.redis.servers if server not in primaries]

    def wait_failover(self, old, slot):
        if self.kind == CLUSTER:
            self.redis.wait_failover(old, slot)
        else:
            self.redis.wait_failover(old)

    def jump_clock(self, name, seconds):
        self.walls[name].set(seconds)

    def move_slots(self, rng):
        """A few slots of one primary to another, those of the partitions first of all, since only they hold keys. Returns how many."""
        source, target = rng.sample(self.redis.owners(), 2)
        own = [slot for slot in load.busy_slots() if slot in set(self.redis.slots_of(source))]
        return len(self.redis.move_slots(rng.sample(own, min(len(own), 6)), source, target, random.Random(rng.random())))
