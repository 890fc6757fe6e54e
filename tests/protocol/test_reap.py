"""Reaping: the claims of the dead come back, those of the living and the newer stay."""

import pytest

from protocol.calls import End, reaped
from protocol.store import Courier

QUEUE = "example.com"


def claimed(store, part, incarnation, *jobs, queue=QUEUE):
    for job in jobs:
        store.run(part.commit(job, queue))
    taken = Courier(store, incarnation).claim(queue, len(jobs))
    assert [job for job, _ in taken] == list(jobs)


def test_claims_of_the_dead_wait_again(store, part):
    claimed(store, part, 5, "A.0", "B.0")
    assert store.run(part.reap(5)) == 2
    for job in ("A.0", "B.0"):
        record = store.record(part, job)
        assert store.place(part, job, QUEUE) == "q" and store.due(part, job, QUEUE) <= 0
        assert record["x"] == "1" and "k" not in record
    assert store.redis.zscore(part.due_index, QUEUE) is not None


def test_each_reaped_job_is_in_doubt_with_the_dead_token(store, part):
    claimed(store, part, 5, "A.0", "B.0")
    entries = store.entries(part)
    store.run(part.reap(5))
    assert store.history(part)[-2:] == [("in_doubt", "A.0", "5.1"), ("in_doubt", "B.0", "5.1")]
    assert store.entries(part) == entries + 1


def test_claims_of_the_living_stay(store, part):
    claimed(store, part, 5, "A.0")
    claimed(store, part, 6, "B.0")
    claimed(store, part, 7, "C.0")
    assert store.run(part.reap(7, 5, 7)) == 1
    assert [store.place(part, job, QUEUE) for job in ("A.0", "B.0", "C.0")] == ["c", "q", "c"]


def test_claims_above_last_stay(store, part):
    """A view of nodes that is hours old knows nothing of those that joined since."""
    claimed(store, part, 8, "A.0")
    before = store.dump()
    assert store.run(part.reap(7)) == 0
    assert store.dump() == before


def test_16_digit_incarnations_are_told_apart(store, part):
    claimed(store, part, 1795342000000001, "A.0")
    claimed(store, part, 1795342000000002, "B.0")
    claimed(store, part, 1795342000000003, "C.0")
    assert store.run(part.reap("1795342000000002", "1795342000000001")) == 1
    assert [store.place(part, job, QUEUE) for job in ("A.0", "B.0", "C.0")] == ["c", "q", "c"]


def test_reap_repeated_finds_nothing(store, part):
    claimed(store, part, 5, "A.0")
    store.run(part.reap(5))
    before = store.dump()
    assert store.run(part.reap(5)) == 0
    assert store.dump() == before


def test_idle_reap_writes_nothing(store, part):
    claimed(store, part, 5, "A.0")
    before = store.dump(), store.entries(part)
    assert store.run(part.reap(5, 5)) == 0
    assert (store.dump(), store.entries(part)) == before


def crash(store, part, times):
    store.run(part.commit("A.0", QUEUE))
    for incarnation in range(1, times + 1):
        store.redis.zadd(part.queue(QUEUE), {"A.0": 0})
        Courier(store, incarnation).claim(QUEUE)
        assert reaped(store.run(part.reap(incarnation))) == 1


@pytest.mark.parametrize(
    "crashes, shortest, longest", [(2, 7500, 12500), (3, 30000, 50000), (4, 120000, 200000)])
def test_a_job_that_crashed_couriers_waits_longer_each_time(store, part, crashes, shortest, longest):
    crash(store, part, crashes)
    assert store.place(part, "A.0", QUEUE) == "q"
    assert shortest - 1000 <= store.due(part, "A.0", QUEUE) <= longest


def test_the_wait_has_jitter(store, part):
    waits = set()
    for _ in range(4):
        store.empty()
        crash(store, part, 4)
        waits.add(round(store.due(part, "A.0", QUEUE), -2))
    assert len(waits) > 1


# proves: A10
def test_five_crashes_hold_the_job(store, part):
    crash(store, part, 5)
    assert store.place(part, "A.0", QUEUE) == "h" and store.record(part, "A.0")["x"] == "5"
    assert store.history(part)[-1] == ("held", "A.0", "crashed couriers")
    assert store.record(part, "A.0")["h"] == "crashed couriers"
    assert store.run(part.order("unhold", "A.0", QUEUE)) == "ok"
    assert "x" not in store.record(part, "A.0")


def test_a_settle_with_state_forgives_crashes(store, part):
    crash(store, part, 1)
    courier = Courier(store, 9)
    courier.claim(QUEUE)
    courier.settle(End("A.0", QUEUE, courier.token, "back", state="tried"))
    assert "x" not in store.record(part, "A.0")


def test_an_asked_hold_is_kept_by_reap(store, part):
    claimed(store, part, 5, "A.0")
    store.run(part.order("hold", "A.0", QUEUE))
    store.run(part.reap(5))
    assert store.place(part, "A.0", QUEUE) == "h" and "k" not in store.record(part, "A.0")
    assert store.history(part)[-1] == ("held", "A.0", "by operator")


@pytest.mark.parametrize("order", ["delete", "bounce"])
def test_other_orders_outlive_the_courier(store, part, order):
    claimed(store, part, 5, "A.0")
    store.run(part.delete("A.0", QUEUE) if order == "delete" else part.order(order, "A.0", QUEUE))
    store.run(part.reap(5))
    assert store.place(part, "A.0", QUEUE) == "q" and store.record(part, "A.0")["f"] == order


def test_a_claim_without_record_is_held(store, part):
    claimed(store, part, 5, "A.0", "B.0")
    store.redis.delete(part.record("A.0"))
    assert store.run(part.reap(5)) == [2, ["j", "A.0", "x", "no record"]]
    assert store.place(part, "A.0", QUEUE) == "h" and store.place(part, "B.0", QUEUE) == "q"
    assert not store.redis.exists(part.record("A.0"))
    assert ("held", "A.0", "no record") in store.history(part)


def test_500_at_a_time(store, part):
    for i in range(700):
        store.run(part.commit(f"J{i}.0", QUEUE, ()))
    Courier(store, 5).claim(QUEUE, 500)
    Courier(store, 6).claim(QUEUE, 500)
    assert [store.run(part.reap(6)) for _ in range(3)] == [500, 200, 0]
    assert store.redis.zcard(part.queue(QUEUE)) == 700 and not store.redis.exists(part.claimed)
