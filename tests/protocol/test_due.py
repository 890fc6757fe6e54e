"""Looking for work: due, and queues that are paused."""

import pytest

from protocol.calls import End
from protocol.store import Courier

QUEUE = "example.com"


@pytest.fixture
def fill(store, part):
    def commit(*queues, due=None):
        for queue in queues:
            job = f"J{store.redis.dbsize()}.0"
            store.run(part.commit(job, queue, ()))
            if due is not None:
                at = store.now_ms() + due
                store.redis.zadd(part.queue(queue), {job: at})
                store.redis.zadd(part.due_index, {queue: at})
    return commit


def score(store, part, queue=QUEUE):
    found = store.redis.zscore(part.due_index, queue)
    return found if found is None else found - store.now_ms()


def test_due_finds_a_queue_with_its_counts_and_parks_it(store, part, fill):
    fill(QUEUE, QUEUE)
    store.redis.zadd(part.queue(QUEUE), {"later.0": store.now_ms() + 60000})
    found, low = store.run(part.due(park=30000))
    assert found == [[QUEUE, 3, 2, 0]]
    assert 29000 < score(store, part) <= 30000 and float(low) == store.redis.zscore(part.due_index, QUEUE)


def test_due_pages_through_more_than_n(store, part, fill):
    names = [f"q{i}.example" for i in range(5)]
    fill(*names)
    pages = [[queue for queue, *_ in store.run(part.due(n=2))[0]] for _ in range(4)]
    assert [len(page) for page in pages] == [2, 2, 1, 0] and sorted(sum(pages, [])) == names


def test_due_that_finds_nothing_writes_nothing(store, part, fill):
    fill(QUEUE, due=60000)
    store.redis.config_resetstat()
    before = store.dump()
    found, low = store.run(part.due())
    assert found == [] and float(low) == store.redis.zscore(part.due_index, QUEUE)
    assert store.dump() == before
    written = set(store.redis.info("commandstats")) & {"cmdstat_zadd", "cmdstat_zrem"}
    assert written == set()


def test_due_of_an_empty_partition_has_no_lowest(store, part):
    assert store.run(part.due()) == [[], ""]
    assert store.redis.keys() == []


def test_an_emptied_queue_is_dropped(store, part, fill):
    fill(QUEUE)
    courier = Courier(store, 1)
    ((job, _),) = courier.claim(QUEUE)
    courier.settle(End(job, QUEUE, courier.token, chunks=0))
    assert store.run(part.due()) == [[], ""]
    assert score(store, part) is None


def test_a_queue_that_came_too_early_moves_to_its_first_job(store, part, fill):
    fill(QUEUE, due=60000)
    store.redis.zadd(part.due_index, {QUEUE: 1})
    assert store.run(part.due())[0] == []
    assert 59000 < score(store, part) <= 60000


def test_a_paused_queue_moves_to_the_end_of_its_pause(store, part, fill):
    fill(QUEUE)
    store.run(part.pause(QUEUE, 60000))
    assert store.run(part.due())[0] == []
    assert 59000 < score(store, part) <= 60000


@pytest.mark.parametrize("make", ["commit", "defer", "release"])
def test_a_parked_queue_comes_forward_with_new_work(store, part, fill, make):
    fill(QUEUE)
    courier = Courier(store, 1)
    ((job, _),) = courier.claim(QUEUE)
    store.redis.zadd(part.due_index, {QUEUE: store.now_ms() + 30000})
    if make == "commit":
        fill(QUEUE)
    else:
        state = "tried" if make == "defer" else None
        courier.settle(End(job, QUEUE, courier.token, "back", 1000 if state else 0, state=state, chunks=0))
    assert score(store, part) <= 1000


def test_horizon_finds_again_what_a_lost_answer_parked(store, part, fill):
    fill(QUEUE, "other.example")
    first = store.run(part.due(park=30000))[0]
    assert store.run(part.due())[0] == []
    again = store.run(part.due(horizon=30000, park=30000))[0]
    assert sorted(again) == sorted(first)


def test_a_queue_that_was_parked_is_looked_at_when_its_pause_ends(store, part, fill):
    fill(QUEUE)
    assert store.run(part.due(park=30000))[0]
    store.run(part.pause(QUEUE, 5000))
    end = int(store.redis.hget(part.pause_state(QUEUE), "until"))
    assert store.redis.zscore(part.due_index, QUEUE) == end


def test_pause_sets_end_and_reason_and_goes_a_day_later(store, part):
    assert store.run(part.pause(QUEUE, 60000, "no route to host")) == "ok"
    state = store.redis.hgetall(part.pause_state(QUEUE))
    assert state["error"] == "no route to host" and 59000 < int(state["until"]) - store.now_ms() <= 60000
    assert 86400 < store.redis.ttl(part.pause_state(QUEUE)) <= 86460


# proves: M06
@pytest.mark.parametrize("until, ms", [(1 << 52, "60000"), (1 << 52, "x"), (1 << 52, None), (10**19, "60000"), ("1e308", "1e308"), ("nan", "-1")])
def test_a_pause_further_off_than_any_is_long_is_over(store, part, fill, until, ms):
    fill(QUEUE)
    store.redis.hset(part.pause_state(QUEUE), mapping={"until": until, **({"ms": ms} if ms else {})})
    assert [found[0] for found in store.run(part.due())[0]] == [QUEUE]
    assert len(Courier(store, 1).claim(QUEUE)) == 1
    store.run(part.pause(QUEUE, 60000))
    assert int(store.redis.hget(part.pause_state(QUEUE), "until")) - store.now_ms() <= 900000
    assert store.redis.ttl(part.pause_state(QUEUE)) <= 900 + 86400


def test_pause_repeated_ends_slightly_later(store, part):
    store.run(part.pause(QUEUE, 60000))
    first = int(store.redis.hget(part.pause_state(QUEUE), "until"))
    store.run(part.pause(QUEUE, 60000))
    assert first <= int(store.redis.hget(part.pause_state(QUEUE), "until")) < first + 5000


def test_each_pause_is_twice_as_long_as_the_one_before(store, part):
    lengths = []
    for _ in range(6):
        store.run(part.pause(QUEUE, 60000, longest=900000))
        state = store.redis.hgetall(part.pause_state(QUEUE))
        lengths.append(int(state["ms"]))
        assert 0 <= store.now_ms() + lengths[-1] - int(state["until"]) < 1000
        store.redis.hset(part.pause_state(QUEUE), "until", store.now_ms() - 1)
    assert lengths == [60000, 120000, 240000, 480000, 900000, 900000]


def test_a_pause_told_twice_counts_once(store, part):
    store.run(part.pause(QUEUE, 60000, "first"))
    store.run(part.pause(QUEUE, 50000, "second"))
    state = store.redis.hgetall(part.pause_state(QUEUE))
    assert state["ms"] == "60000" and state["error"] == "second" and int(state["until"]) - store.now_ms() <= 60000


def test_a_longer_pause_on_record_is_not_shortened(store, part):
    until = store.now_ms() + 3600000
    store.redis.hset(part.pause_state(QUEUE), mapping={"until": until, "error": "stopped by hand"})
    store.run(part.pause(QUEUE, 60000))
    assert int(store.redis.hget(part.pause_state(QUEUE), "until")) == until


def test_after_a_resume_the_next_pause_is_a_first_one(store, part):
    for ms in (60000, 0, 60000):
        store.run(part.pause(QUEUE, ms))
    assert store.redis.hget(part.pause_state(QUEUE), "ms") == "60000"


def test_due_tells_of_a_pause_on_record(store, part, fill):
    fill(QUEUE)
    store.redis.hset(part.pause_state(QUEUE), mapping={"until": store.now_ms() - 1, "error": "x"})
    assert store.run(part.due())[0] == [[QUEUE, 1, 1, 1]]


def test_pause_moves_no_job(store, part, fill):
    fill(QUEUE, QUEUE)
    before = store.redis.zrange(part.queue(QUEUE), 0, -1, withscores=True)
    store.run(part.pause(QUEUE, 60000))
    assert store.redis.zrange(part.queue(QUEUE), 0, -1, withscores=True) == before


def test_resume_makes_the_queue_due(store, part, fill):
    fill(QUEUE)
    store.run(part.pause(QUEUE, 60000))
    store.run(part.due())
    assert store.run(part.pause(QUEUE, 0)) == "ok"
    assert not store.redis.exists(part.pause_state(QUEUE))
    assert [queue for queue, *_ in store.run(part.due())[0]] == [QUEUE]


def test_resume_of_a_queue_without_jobs_leaves_nothing_for_long(store, part):
    store.run(part.pause(QUEUE, 0))
    assert store.run(part.due()) == [[], ""]
    assert store.redis.keys() == []
