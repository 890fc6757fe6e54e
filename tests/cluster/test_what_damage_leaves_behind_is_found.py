"""
The janitor: content without a job, jobs without a place, queues that nobody looks at, counts that drifted. It finds them on every shard, and
touches nothing that mail needs: at full speed under load with deaths, and while slots move.
"""

import os

import pytest
from hurt import SEED, Scene
from protocol.calls import Partition

from harness import paths, planted, wait
from harness.cluster import Cluster
from harness.replicas import RedisCluster
from harness.slots import partition_slot, partition_tag

FAST = {"janitor": {"every": "20ms", "rate": 1000000, "keep": "1d"}}
DAY_MS = 86400000
MESSAGE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
PASSES = 5


def part_of(partition):
    return Partition(partition_tag(partition))


def found(cluster, what):
    return cluster.metric(f'barid_janitor_found_total{{what="{what}"}}', "dispatcher")


def wait_found(cluster, what, least=1):
    wait.until(lambda: found(cluster, what) >= least, 20, lambda: f"{least} x {what}, there are {found(cluster, what)}")


def passes(cluster):
    return sum(node.log_text().count("event=janitor_passed") for node in cluster.of("dispatcher"))


def wait_passes(cluster, count=PASSES):
    before = passes(cluster)
    wait.until(lambda: passes(cluster) >= before + count, 60, "passes of the janitor")


@pytest.fixture
def cluster():
    with Cluster(settings=FAST, couriers=0, ingress=0) as nodes:
        nodes.store = nodes.redis.client(decode_responses=True)
        yield nodes


# proves: A10 A11
def test_each_kind_of_damage_is_mended_or_told(cluster):
    redis, part = cluster.store, part_of(9)
    orphan, mark = part.chunk_key(f"{MESSAGE}.3", 0), part.seen("old.0")
    redis.set(orphan, "content")
    redis.set(mark, "digest")
    redis.set(part.never, "x")
    redis.hset(part.tenants(), mapping={"m:acme": 5, "b:acme": 900})
    redis.hset(part.record("lost.0"), mapping={"q": "a.example", "e": "e", "s": "s", "n": 1, "u": "u", "k": "1.1"})
    redis.zadd(part.queue("b.example"), {"waits.0": 1})
    redis.hset(part.record("waits.0"), mapping={"q": "b.example"})
    redis.set(part.queue("odd.example"), "what?")
    for what in ("orphan", "endless", "never", "miscounted", "lost", "forgotten", "unreadable"):
        wait_found(cluster, what)
    assert 0 < redis.pttl(orphan) <= DAY_MS and redis.pttl(mark) > 0
    assert not redis.exists(part.never) and not redis.exists(part.tenants())
    assert redis.zscore(part.held, "lost.0") and redis.zscore(part.queue("b.example"), "waits.0")
    assert redis.zscore(part.due_index, "b.example") and redis.get(part.queue("odd.example")) == "what?"
    assert redis.get(orphan) == "content"
    wait_passes(cluster)
    for what in ("orphan", "endless", "never", "miscounted", "lost", "forgotten"):
        assert found(cluster, what) == 1, what


def assert_children_keep_content(cluster):
    redis, part, other = cluster.redis.client(decode_responses=True), part_of(9), part_of(200)
    content = [part.chunk_key(f"{MESSAGE}.0", i) for i in range(2)]
    for key in content:
        redis.set(key, "content")
    redis.hset(other.record(f"{MESSAGE}.7"), mapping={"q": "a.example", "e": "e", "s": "s", "n": 0, "u": "u"})
    redis.zadd(other.held, {f"{MESSAGE}.7": 1})
    wait_found(cluster, "unowned", 2)
    wait_passes(cluster, 2 * PASSES)
    assert [redis.pttl(key) for key in content] == [-1, -1] and not found(cluster, "orphan")
    redis.delete(other.record(f"{MESSAGE}.7"), other.held)
    wait_found(cluster, "orphan", 2)
    assert all(0 < redis.pttl(key) <= DAY_MS for key in content)


# proves: A12
def test_content_that_children_in_other_partitions_read_is_left_alone(cluster):
    assert_children_keep_content(cluster)


def test_a_janitor_that_does_not_mind_children_is_found_out(tmp_path):
    program = planted.program("dispatcher", "janitor minds no children", "dispatcher/janitor.c", "stray->is_seen = true;", "stray->is_seen = false;")
    os.makedirs(tmp_path / "bin")
    for role in ("ingress", "courier"):
        os.symlink(paths.program(f"barid-{role}"), tmp_path / "bin" / f"barid-{role}")
    os.symlink(program, tmp_path / "bin" / "barid-dispatcher")
    with Cluster(settings=FAST, couriers=0, ingress=0, build=str(tmp_path)) as cluster, pytest.raises(AssertionError):
        assert_children_keep_content(cluster)


# proves: A12
def test_it_finds_nothing_where_nothing_is_amiss():
    """Every role dies again and again, mail of all kinds goes on, and the janitor never rests."""
    with Scene(SEED, FAST) as scene:
        scene.more(100)
        for number in range(9):
            node = scene.cluster.kill(("courier", "ingress", "dispatcher")[number % 3])
            scene.more(scene.rng.randrange(10, 60))
            scene.cluster.restart(node)
            scene.more(scene.rng.randrange(10, 40))
        wait_passes(scene.cluster)
        scene.settle().assert_balanced()
        assert not any("event=janitor_found" in node.log_text() for node in scene.cluster.nodes)


# proves: A11
def test_it_sees_all_shards_while_slots_move():
    with RedisCluster(primaries=3, replicas=0) as servers, Cluster(settings=FAST, redis=servers, couriers=0, ingress=0) as cluster:
        redis = servers.client(decode_responses=True)
        partitions = range(0, 256, 17)
        for partition in partitions:
            redis.set(part_of(partition).chunk_key(f"{MESSAGE}.1", 0), "content")
        owners = servers.owners()
        for partition in partitions[::3]:
            slot = partition_slot(partition)
            source = servers.owner_of_slot(slot)
            servers.move_slots([slot], source, next(server for server in owners if server is not source))
        keys = [part_of(partition).chunk_key(f"{MESSAGE}.1", 0) for partition in partitions]
        wait.until(lambda: all(0 < redis.pttl(key) <= DAY_MS for key in keys), 60,
                   lambda: f"time limits, they are {[redis.pttl(key) for key in keys]}, found {found(cluster, 'orphan')}")
        assert found(cluster, "orphan") == len(keys)
