"""
The random walk over a real Redis Cluster of three primaries while slots move, those of partitions and of the common keys; and over one with
replicas, of which some are promoted without what was not confirmed.

CLUSTER_WALK_SEEDS (as 1-4 or 7,9) and CLUSTER_WALK_STEPS (commands with faults, per seed) make it longer.
"""

import os
import re

import pytest
from harness.replicas import RedisCluster

from protocol import calls, scripts
from protocol.calls import NODES, Partition, Slots, Tokens
from protocol.walk import reports
from protocol.walk.cluster import MovingStore, walk
from protocol.walk.world import Violation

STEPS = int(os.environ.get("CLUSTER_WALK_STEPS", "1200"))
# A replica is promoted when the walk says so, never by itself.
OPTIONS = {"appendonly": "no", "cluster-replica-no-failover": "yes"}


def seeds(default):
    for part in os.environ.get("CLUSTER_WALK_SEEDS", default).split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def cluster_of(replicas):
    return RedisCluster(3, replicas, appendfsync="no", witness=False, node_timeout_ms=15000, options=OPTIONS)


@pytest.fixture(scope="module")
def cluster():
    with cluster_of(0) as redis:
        yield redis


@pytest.fixture(scope="module")
def replicated():
    with cluster_of(1) as redis:
        yield redis


def tell(world):
    print(f"steps {world.steps}:", ", ".join(f"{name} {count}" for name, count in sorted(world.counts.items())))


# proves: A05 A06 A07 A09 A17
@pytest.mark.parametrize("seed", seeds("1-2"))
def test_slots_move_and_nothing_is_lost_doubled_or_left(cluster, seed):
    world = walk(cluster, seed, STEPS)
    tell(world)
    assert world.counts["recipients delivered"] > 60 and world.counts["slots moved"] > 5 and world.counts["try again"]


# proves: A18
@pytest.mark.parametrize("seed", seeds("1"))
def test_a_failover_loses_nothing_that_was_confirmed(replicated, seed):
    world = walk(replicated, seed, STEPS)
    tell(world)
    assert world.counts["recipients delivered"] > 60
    assert seed != 1 or world.counts["failovers"] and world.counts["undone"]


@pytest.fixture
def moving(cluster):
    """A Store on whose Cluster the slots of these keys move all the time."""
    stores = []

    def make(seed, *keys):
        stores.append(MovingStore(cluster, seed, keys))
        return stores[0]
    yield make
    for store in stores:
        store.finish()


@pytest.mark.parametrize("seed", [1, 2])
def test_reports_are_counted_once_while_their_slot_moves(moving, seed):
    store = moving(seed, calls.TLSRPT_DUE, Partition("0").never)
    assert reports.walk(store, Partition("0"), seed, 250)
    assert store.counts["slots moved"] > 5 and store.counts["try again"]


def test_nodes_live_and_die_while_their_slot_moves(moving):
    store = moving(3, NODES)
    alive, last = {}, 0
    for step in range(300):
        dice = store.random.random()
        if dice < 0.2 or not alive:
            number = store.run(calls.join())
            assert int(number) > last
            last, alive[number] = int(number), 0
            continue
        number = store.random.choice(sorted(alive))
        if dice < 0.7:
            alive[number] += 1
            assert store.run(calls.beat(number, alive[number])) == "ok"
            assert store.run(calls.beat(number, alive[number])) == "old"
        elif dice < 0.85:
            assert store.run(calls.bury(number, alive[number] + 1)) == "alive"
            assert store.run(calls.bury(number, alive.pop(number))) == "dead"
            assert store.run(calls.beat(number, 10**6)) == "dead"
        else:
            assert store.run(calls.leave(number)) == "ok"
            del alive[number]
        nodes = store.redis.hgetall(NODES)
        assert nodes.pop("last") == str(last)
        assert {name: value.split(" ")[0] for name, value in nodes.items()} == {name: str(count) for name, count in alive.items()}
    assert store.run(calls.meta(1, 256, "xxh3-64")) == store.run(calls.meta(2, 8, "other")) == ["1", "256", "xxh3-64"]
    assert store.counts["slots moved"] > 5


def test_tables_change_whole_while_their_slot_moves(moving):
    store = moving(4, NODES)
    held, version = {name: {} for name in ("users", "aliases")}, 0
    for step in range(300):
        name, field = store.random.choice(sorted(held)), f"f{store.random.randrange(5)}"
        if store.random.random() < 0.7:
            changes = held[name].get(field) != str(step)
            assert store.run(calls.table(name, "put", field, step)) == "ok"
            held[name][field] = str(step)
        else:
            changes = field in held[name]
            assert store.run(calls.table(name, "remove", field)) == ("ok" if held[name].pop(field, None) else "none")
        now = int(store.redis.hget(calls.CHANGED, name) or 0)
        assert not changes or now > version
        version = max(version, now)
        assert store.redis.hgetall(f"barid:{{c}}:{name}") == held[name]
    assert store.counts["slots moved"] > 5 and store.counts["try again"]


def test_limits_hold_while_their_slot_moves(moving):
    part = Partition("2")
    store = moving(5, part.never)
    out, slots = 0, {}
    for step in range(200):
        granted, _, _ = store.run(part.limit(Tokens("x", 1, 10**9, 100, 0, store.random.choice([0, 1, 7]), 1)))[0]
        out += granted
        node = f"n{store.random.randrange(4)}"
        held = store.random.randint(0, slots.get(node, 0))
        slots[node] = store.run(part.slots(node, Slots("y", 9, held, held + store.random.randrange(4)), ttl=3600000))[0]
        assert sum(slots.values()) <= 9
    assert out == 100 and store.counts["slots moved"] > 5


def found(cluster, sources=None, plants=(), steps=2000):
    """What a walk says of a bug; None if three walks say nothing."""
    for seed in (1, 2, 3):
        try:
            walk(cluster, seed, steps, sources, 1, plants)
        except Violation as violation:
            return str(violation).splitlines()[0]
    return None


@pytest.mark.parametrize("plant", ["no never", "no never commit", "no never settle", "no never delete"])
def test_the_walk_finds_a_script_that_does_not_declare_never(cluster, plant):
    assert found(cluster, plants=[plant])


PLANTS = [
    ("a key that is not of its slot", "prelude", '"q:" .. string.match(j, "{.-}") .. ":"', '"q:" .. string.match(j, "{(.-)}") .. ":"'),
    ("a count that is not of its slot", "prelude", 'local key = "t:" .. string.sub(never, 7)', 'local key = "t:all"'),
    ("a claim writes before it has read all", "claim",
     'local jobs, claims, taken, taken_records, lines, size = {}, {}, {}, {}, {}, 0',
     'redis.call("ZADD", c, incarnation, "early")\nlocal jobs, claims, taken, taken_records, lines, size = {}, {}, {}, {}, {}, 0'),
]


@pytest.mark.parametrize("name, script, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(cluster, name, script, old, new):
    assert found(cluster, scripts.planted(scripts.sources(), script, old, new))


def test_the_walk_finds_who_takes_a_reply_for_a_confirmation(replicated):
    assert found(replicated, plants=["unconfirmed"], steps=6000)


def test_every_script_of_a_partition_declares_never():
    for name, text in scripts.sources().items():
        keys = re.search(r"^-- KEYS (.*(?:\n--      .*)*)", text, re.M)
        if name != "prelude" and "barid:{c}" not in keys.group(1):
            assert "never" in keys.group(1), name


def test_scripts_of_the_common_keys_touch_only_keys_they_declare():
    """They declare no never: each finds nothing for itself, and a key that is missing on one side makes Redis say so."""
    for name in ("join", "beat", "bury", "leave", "meta", "table", "tlsrpt_count", "tlsrpt_take", "tlsrpt_end"):
        text = scripts.sources()[name]
        for key in re.findall(r'redis\.p?call\("[A-Z]+", ([^,)]+)', text) + re.findall(r'read\("[A-Z]+", ([^,)]+)', text):
            assert key.strip() in ("nodes", "meta", "hash", "versions", "due", "of", "last", "key"), f"{name}: {key}"
        # What is removed and then written fails half way, while its slot moves: Redis looks for it where it moves to.
        assert not re.search(r'"(UNLINK|DEL)"', text), name
