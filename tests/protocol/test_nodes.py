"""Nodes: join, beat, bury, leave; and what every node must agree on."""

from protocol import calls
from protocol.calls import NODES


def nodes(store):
    return store.redis.hgetall(NODES)


def test_incarnations_are_16_digits_of_time_and_grow(store):
    seconds, micros = store.redis.time()
    first, second = store.run(calls.join()), store.run(calls.join())
    assert len(first) == 16 and int(second) > int(first) >= seconds * 1000000 + micros
    assert nodes(store) == {"last": second, first: "0", second: "0"}


def test_incarnations_grow_though_the_clock_went_back(store):
    store.redis.hset(NODES, "last", "8000000000000000")
    assert store.run(calls.join()) == "8000000000000001"
    assert store.run(calls.join()) == "8000000000000002"


def test_beat_counts_up(store):
    one = store.run(calls.join())
    assert store.run(calls.beat(one, 1, "first stats")) == "ok"
    assert nodes(store)[one] == "1 first stats"
    assert store.run(calls.beat(one, 5, "b")) == "ok"


def test_beat_that_comes_late_or_twice_is_old(store):
    one = store.run(calls.join())
    store.run(calls.beat(one, 10, "new"))
    assert store.run(calls.beat(one, 10, "twice")) == "old"
    assert store.run(calls.beat(one, 9, "late")) == "old"
    assert nodes(store)[one] == "10 new"


def test_stats_may_be_any_bytes(store):
    one = store.run(calls.join())
    assert store.run(calls.beat(one, 1, "\n 7 \0 %d")) == "ok"
    assert nodes(store)[one] == "1 \n 7 \0 %d"


def test_beat_of_the_buried_is_dead(store):
    one = store.run(calls.join())
    store.run(calls.beat(one, 1))
    assert store.run(calls.bury(one, 1)) == "dead"
    before = nodes(store)
    assert store.run(calls.beat(one, 2)) == "dead"
    assert nodes(store) == before


def test_bury_of_one_that_beat_meanwhile_is_alive(store):
    one = store.run(calls.join())
    store.run(calls.beat(one, 1))
    store.run(calls.beat(one, 2))
    assert store.run(calls.bury(one, 1)) == "alive"
    assert one in nodes(store)


def test_bury_repeated_changes_nothing(store):
    one, two = store.run(calls.join()), store.run(calls.join())
    store.run(calls.bury(one, 0))
    before = nodes(store)
    assert store.run(calls.bury(one, 0)) == "dead"
    assert nodes(store) == before and two in before


def test_one_that_never_beat_can_be_buried(store):
    one = store.run(calls.join())
    assert store.run(calls.bury(one, 0)) == "dead"


def test_a_join_repeated_makes_a_second_life(store):
    one = store.run(calls.join())
    two = store.run(calls.join())
    assert store.run(calls.beat(one, 1)) == "ok" and store.run(calls.bury(two, 0)) == "dead"


def test_leave_is_for_good(store):
    one = store.run(calls.join())
    store.run(calls.leave(one))
    assert store.run(calls.leave(one)) == "ok"
    assert store.run(calls.beat(one, 1)) == "dead"
    assert nodes(store) == {"last": one}


def test_meta_is_written_once(store):
    assert store.run(calls.meta(1, 256, "xxh3")) == ["1", "256", "xxh3"]
    assert store.run(calls.meta(2, 512, "other")) == ["1", "256", "xxh3"]


def test_meta_written_in_part_by_another_is_not_completed(store):
    store.redis.hset("barid:{c}:meta", "schema", "1")
    assert store.run(calls.meta(1, 256, "xxh3")) == ["1", None, None]
