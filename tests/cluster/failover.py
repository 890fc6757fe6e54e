"""
Redis' primary is lost under load, in every way there is: killed, without power, stopped, cut off from the net together with half of the nodes.
What became of every recipient, and how long new mail got 451.
"""

import os
import statistics

from harness import wait
from harness.cluster import merged
from harness.generator import LATER, LOST, TAKEN, Generator
from harness.network import DelayProxy, Network
from harness.replicas import RedisCluster, RedisWithSentinels
from harness.slots import COMMON_SLOT, slot_of

from hurt import DOMAINS, SEED, Scene, message

KINDS = ("power failure", "cut off", "stopped", "killed")
KILLS = int(os.environ.get("KILLS", "3"))
IS_LONG = "KILLS" in os.environ  # what comes back finds its place by itself, however long that takes
EAST, WEST = ("ingress1", "dispatcher1", "courier1"), ("ingress2", "dispatcher2", "courier2")
REPLICAS = {"store": {"replicas": 1}}


class Kill:
    """One loss of a primary. Times in seconds since it began."""

    def __init__(self, number, kind, server, began_at):
        self.number, self.kind, self.server, self.began_at = number, kind, server, began_at
        self.hurt_at = None  # a cut takes a moment
        self.promoted = self.first_250 = self.window = None
        self.refused = self.second_copies = self.lost = 0

    def __str__(self):
        return (f"#{self.number} {self.server} {self.kind}: promoted after {self.promoted:.1f} s, first 250 after {self.first_250:.1f} s, "
                f"451 {self.refused} times, until {self.window:.1f} s, second copies {self.second_copies}, lost {self.lost}")


class Failover(Scene):
    """
    A scene whose Redis is on hosts of its own, as are the nodes: each of EAST, and of WEST, together. make(hosts) starts nothing and returns
    the Redis. has_address: the nodes know nothing of replicas, only an address that follows the primary.
    """

    def __init__(self, seed, make, servers, settings=REPLICAS, has_address=False, **cluster):
        self.network = Network(*[f"redis{n + 1}" for n in range(servers)], "east", "west", "world")
        self.redis = make([self.network.host(f"redis{n + 1}") for n in range(servers)])
        hosts = {name: self.network.host(side) for side, names in (("east", EAST), ("west", WEST)) for name in names}
        self.address = None
        if has_address:
            self.address = DelayProxy(self._primary_place(), 0.0, 6379, host=self.network.host("world"))
            settings = merged(settings, {"store": {"kind": "standalone", "address": [self.address.address]}})
        super().__init__(seed, settings, world=self.network.host("world"), redis=self.redis, hosts=hosts, **cluster)
        self.kills, self.slots = [], {}

    def __enter__(self):
        self.redis.__enter__()
        if self.address:
            self.address.start()
        return super().__enter__()

    def _primary_place(self):
        server = self.redis.servers[0] if self.address is None else self.redis.primary
        return server.ip, server.port

    def move_address(self):
        if self.address:
            self.address.target = self._primary_place()

    def __exit__(self, kind, *rest):
        self.network.mend()
        try:
            super().__exit__(kind, *rest)
        finally:
            if self.address:
                self.address.stop()
            self.redis.__exit__(kind, *rest)
            self.network.close()

    def load(self):
        return Generator(self.cluster.addresses, message(self.rng), sessions=30, rate=80, linger=0.02, seed=self.rng.random(), host=self.world,
                         reply_timeout=60)

    # -- which mail is hurt

    def learn_slots(self):
        """Which slot each domain's queue is in, seen in Redis."""
        def is_known():
            for server in self.redis.servers:
                if server.process.alive():
                    with server.client(decode_responses=True) as redis:
                        for key in redis.scan_iter("q:*", count=1000):
                            self.slots[key.split(":", 2)[2]] = slot_of(key)
            return all(domain in self.slots for domain in DOMAINS)
        wait.until(is_known, 60, lambda: f"a queue of each domain, there are {sorted(self.slots)}")

    def attempts(self, slots):
        """Of messages to one recipient, whose queue is in one of these slots."""
        for item in list(self.generator.items):
            if len(item.recipients) == 1 and (slots is None or self.slots.get(item.recipients[0].rpartition("@")[2]) in slots):
                yield from item.attempts

    def _first_250(self, kill, slots):
        return min((one.reply_at for one in self.attempts(slots) if one.outcome == TAKEN and one.began_at > kill.hurt_at), default=None)

    # -- a kill

    def victim(self, number):
        """(a primary, one of its slots, all of them): now that of the common keys, now another; Sentinels watch one only."""
        if isinstance(self.redis, RedisWithSentinels):
            return self.redis.primary, None, None
        others = sorted({self.redis.owner_of_slot(slot) for slot in self.slots.values()}, key=lambda server: server.name)
        server = self.redis.owner() if number % 2 == 0 else self.rng.choice(others)
        slots = set(self.redis.slots_of(server))
        return server, COMMON_SLOT if COMMON_SLOT in slots else min(slots), slots

    def lose(self, kind):
        """A primary is lost and replaced, mail flows again, what was lost comes back. Returns the Kill."""
        server, slot, slots = self.victim(len(self.kills))
        kill = Kill(len(self.kills) + 1, kind, server.name, self.cluster.now())
        self.kills.append(kill)
        faults = self._note(kind, server)
        self._hurt(kind, server)
        kill.hurt_at = self.cluster.now()
        kwargs = {} if slot is None else {"slot": slot}
        self.redis.wait_failover(server, timeout=60, **kwargs)
        kill.promoted = self.cluster.now() - kill.began_at
        wait.until(lambda: self._first_250(kill, slots), 60, "a 250 after a failover")
        kill.first_250 = self._first_250(kill, slots) - kill.began_at
        self.more(60)
        self._heal(kind, server)
        self.cluster.wait_ready(60)
        for fault in faults:
            fault.end()
        self.more(30)
        cut_off = {self.cluster.node(name).smtp for name in WEST if "ingress" in name} if kind == "cut off" else ()  # these are right to refuse
        late = [one.reply_at or one.began_at for one in self.attempts(slots)
                if one.outcome in (LATER, LOST) and one.began_at > kill.began_at and one.address not in cut_off]
        kill.refused, kill.window = len(late), max([moment - kill.began_at for moment in late], default=0.0)
        return kill

    def _note(self, kind, server):
        faults = [self.cluster.faults.note("redis", server.name, server.pid, kind, lasting=True)]
        if kind == "cut off":  # a courier on the smaller side is as good as dead
            faults += [self.cluster.faults.note("courier", name, self.cluster.node(name).pid, "stop", lasting=True) for name in WEST if "courier" in name]
        return faults

    def _hurt(self, kind, server):
        if kind == "cut off":
            self.network.split(server.host, "west", but=["world"])
        else:
            {"killed": self.redis.kill, "power failure": self.redis.kill_and_cut, "stopped": self.redis.freeze}[kind](server)

    def _heal(self, kind, server):
        if kind == "cut off":
            self.network.mend()
        elif kind == "stopped":
            self.redis.thaw(server)
        else:
            self.redis.restart(server)
        if not IS_LONG and isinstance(self.redis, RedisWithSentinels):
            self.redis.join(server)
        self.redis.wait_ready(90)

    # -- all of them

    def run(self, kills=KILLS):
        """Loses the primary so many times; prints each, and what they had in common. Returns the ledger."""
        self.more(100)
        self.learn_slots()
        for number in range(kills):
            self.more(self.rng.randrange(20, 120))
            self.lose(KINDS[number % len(KINDS)])
            print(self.kills[-1], flush=True)
        ledger = self.settle()
        self._blame(ledger)
        self._print_summary(ledger)
        return ledger

    def _blame(self, ledger):
        """Each second copy and each loss belongs to the last kill before it."""
        def last_before(moment):
            return next((kill for kill in reversed(self.kills) if kill.began_at <= moment), self.kills[0])
        for copies in ledger.copies.values():
            for copy in copies[:-1]:
                last_before(copy.dot_at).second_copies += 1
        for ledger_id, recipient in ledger.missing:
            last_before(ledger.items[ledger_id].acknowledged[recipient]).lost += 1

    def _print_summary(self, ledger):
        for kill in self.kills:
            print(kill)
        for name, text in (("promoted", "promoted after"), ("first_250", "no 250 for"), ("window", "451 until")):
            times = [getattr(kill, name) for kill in self.kills]
            print(f"{text:>14}: median {statistics.median(times):.1f} s, worst {max(times):.1f} s"
                  + (" (at most 10 s is what it must reach)" if name != "promoted" else ""))
        print(f"{len(self.kills)} kills, {len(ledger.acknowledged)} recipients acknowledged, lost {max(0, ledger.lost)}, second copies "
              f"{sum(kill.second_copies for kill in self.kills)}, all explained: {not ledger.problems}", flush=True)


def with_sentinels(seed=SEED, replicas=2, **more):
    """A primary, its replicas and three Sentinels, each server on a host of its own."""
    servers = max(3, replicas + 1)
    return Failover(seed, lambda hosts: RedisWithSentinels(replicas=replicas, hosts=hosts), servers, **more)


def in_a_cluster(seed=SEED, replicas=2, **more):
    """Three primaries with their replicas, each on a host of its own."""
    return Failover(seed, lambda hosts: RedisCluster(replicas=replicas, hosts=hosts), 3 * (replicas + 1), **more)


def held_back(scene, least=1):
    """
    The primary's replicas hear no more of it; the load goes on for a while; then it loses power for good, and a replica takes its place. The
    couriers are started anew: what they know of the lost time they would find out within half a minute. Returns (when the replicas were held
    back, how many recipients were acknowledged since).
    """
    primary = scene.redis.primary
    since = scene.cluster.now()
    scene.redis.hold_back(primary)
    before = len(scene.generator.acknowledged())
    wait.until(lambda: len(scene.generator.acknowledged()) >= before + least, 30, f"{least} acknowledged by a primary that nobody follows")
    fault = scene.cluster.faults.note("redis", primary.name, primary.pid, "cut", lasting=True)
    scene.redis.kill_and_cut(primary)
    early = len(scene.generator.acknowledged()) - before
    scene.redis.wait_failover(primary)
    scene.move_address()
    for node in scene.cluster.of("courier"):
        scene.cluster.restart(scene.cluster.kill(node))
    scene.cluster.wait_ready(60)
    fault.end()
    return since, early


def promoted_from_behind(scene, least):
    """
    One of two replicas falls behind while the load goes on, until `least` recipients were acknowledged or the nodes say that they confirm nothing;
    then it is promoted, as a Sentinel may do whose figures are old: here because nobody else is left. Returns how many were acknowledged.
    """
    primary = scene.redis.primary
    behind, ahead = [server for server in scene.redis.servers if server is not primary]
    before = len(scene.generator.acknowledged())
    scene.redis.hold_back(primary, behind)

    def is_over():
        return len(scene.generator.acknowledged()) >= before + least or \
            any("may be promoted" in node.process.log_text() for node in scene.cluster.of("ingress"))
    wait.until(is_over, 30, "mail taken, or refused, while a replica is behind")
    fault = scene.cluster.faults.note("redis", primary.name, primary.pid, "cut", lasting=True)
    scene.redis.kill_and_cut(primary)
    scene.redis.kill(ahead)
    early = len(scene.generator.acknowledged()) - before
    assert scene.redis.wait_failover(primary) is behind
    scene.redis.restart(ahead)
    for node in scene.cluster.of("courier"):
        scene.cluster.restart(scene.cluster.kill(node))
    scene.cluster.wait_ready(60)
    fault.end()
    return early


def promoted_uncopied(scene, least):
    """
    A primary starts anew, and counts its stream from nought. One replica copies it; the other cannot reach it, but whoever promotes can, and to
    them it has the larger figure. The ingresses start anew too: what they know of replicas they were told. The load goes on until `least`
    messages for that primary were acknowledged or the nodes say that they confirm nothing; then it is lost for good, and the one without its copy
    is promoted. Returns how many were acknowledged.
    """
    primary, slot, slots = scene.victim(0)
    uncopied, _ = scene.redis.replicas_of(primary)
    scene.network.cut(primary.host, uncopied.host)
    downs = [scene.cluster.kill(node) for node in scene.cluster.of("ingress")]
    began_at = scene.cluster.now()
    fault = scene.cluster.faults.note("redis", primary.name, primary.pid, "cut", lasting=True)
    scene.redis.kill(primary)
    primary.start()
    for down in downs:
        scene.cluster.restart(down)

    def taken():
        return sum(1 for one in scene.attempts(slots) if one.outcome == TAKEN and one.began_at > began_at)

    def is_over():
        return taken() >= least or all("may be promoted" in node.process.log_text() for node in scene.cluster.of("ingress"))
    wait.until(is_over, 30, "mail taken, or refused, while a replica has no copy")
    scene.cluster.baridctl("queue", "suspend", "nowhere.test", "--yes")  # an operator is not kept waiting
    if isinstance(scene.redis, RedisWithSentinels):  # the one on the primary's host does not reach the replica, and would choose the other
        scene.redis.sentinels[scene.redis.servers.index(primary)].process.kill()
    scene.redis.kill(primary)
    early = taken()
    assert scene.redis.wait_failover(primary, **({} if slot is None else {"slot": slot})) is uncopied
    scene.network.mend()
    for node in scene.cluster.of("courier"):
        scene.cluster.restart(scene.cluster.kill(node))
    scene.cluster.wait_ready(60)
    fault.end()
    return early


def lost_only_since(scene, moment):
    """
    How many recipients are lost. Those of messages to one queue were acknowledged since then; of a message to several, accepted before, the
    children may have been made since.
    """
    lost = scene.lost()
    items = [(scene.ledger.items[name], recipient) for name, recipient in scene.ledger.missing]
    early = [(item.ledger_id, recipient) for item, recipient in items
             if len({one.rpartition("@")[2] for one in item.recipients}) == 1 and item.acknowledged[recipient] < moment]
    assert not early, f"lost though a replica had them: {early}"
    return lost
