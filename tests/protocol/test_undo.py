"""Undo of an operator's rule: a job is where it was, due when it was, unless it was attempted since or another order came."""

import pytest

from protocol.calls import End
from protocol.store import Courier

JOB, QUEUE, RULE = "M1.0", "example.com", "r7"
HOUR = 3600000


@pytest.fixture
def order(store, part):
    def send(name, rule=RULE, why="by operator"):
        return store.run(part.order(name, JOB, QUEUE, why, rule))
    return send


@pytest.fixture
def due(store, part):
    """JOB waits for an hour; when it is due."""
    store.run(part.commit(JOB, QUEUE, ("one", "two"), digest="dg"))
    at = store.now_ms() + HOUR
    store.redis.zadd(part.queue(QUEUE), {JOB: at})
    store.redis.zadd(part.due_index, {QUEUE: at})
    return at


def is_as_before(store, part, due):
    record = store.record(part, JOB)
    return (store.redis.zscore(part.queue(QUEUE), JOB) == due and store.place(part, JOB, QUEUE) == "q"
            and store.redis.zscore(part.due_index, QUEUE) <= due and not {"f", "h", "r", "x"} & set(record))


def claim(store, part):
    store.redis.zadd(part.queue(QUEUE), {JOB: 0})
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    return courier


@pytest.mark.parametrize("name", ["hold", "retry", "bounce"])
def test_undo_restores_place_and_due_time(store, part, order, due, name):
    assert order(name) == "ok"
    assert order("undo") == "ok"
    assert is_as_before(store, part, due)
    assert store.history(part)[-1] == ("released", JOB, "undo of rule r7")


@pytest.mark.parametrize("name", ["hold", "retry", "bounce"])
def test_a_repeated_order_keeps_what_the_first_noted(store, part, order, due, name):
    order(name)
    order(name)
    assert order("undo") == "ok"
    assert is_as_before(store, part, due)


@pytest.mark.parametrize("name", ["hold", "retry", "bounce"])
def test_a_repeated_undo_changes_nothing(store, order, due, name):
    order(name)
    order("undo")
    before = store.dump()
    assert order("undo") == "left"
    assert store.dump() == before


def test_undo_of_a_job_without_record_is_gone_and_writes_nothing(store, order):
    assert order("undo") == "gone"
    assert store.redis.keys() == []


@pytest.mark.parametrize("rule", ["r70", "r", "", "r8"])
def test_undo_of_another_rule_changes_nothing(store, order, due, rule):
    order("hold")
    before = store.dump()
    assert order("undo", rule=rule) == "left"
    assert store.dump() == before


@pytest.mark.parametrize("name", ["hold", "retry", "bounce"])
def test_an_order_of_no_rule_cannot_be_undone(store, order, due, name):
    order(name, rule="")
    before = store.dump()
    assert order("undo") == "left"
    assert store.dump() == before


@pytest.mark.parametrize("name", ["bounce", "unhold"])
def test_undo_puts_back_what_was_held(store, part, order, due, name):
    order("hold", rule="", why="content is missing")
    since = store.redis.zscore(part.held, JOB)
    assert order(name) == "ok" and store.place(part, JOB, QUEUE) == "q"
    assert order("undo") == "ok"
    record = store.record(part, JOB)
    assert store.place(part, JOB, QUEUE) == "h" and store.redis.zscore(part.held, JOB) == since
    assert record["h"] == "content is missing" and not {"f", "r"} & set(record)
    assert store.history(part)[-1] == ("held", JOB, "content is missing")


def test_the_last_order_is_the_one_that_can_be_undone(store, part, order, due):
    order("hold", rule="r1")
    order("bounce", rule="r2")
    assert order("undo", rule="r1") == "left"
    assert order("undo", rule="r2") == "ok" and store.place(part, JOB, QUEUE) == "h"
    assert order("undo", rule="r1") == "left", "what was before it is forgotten"


@pytest.mark.parametrize("name", ["hold", "bounce"])
def test_undo_takes_back_what_waits_for_its_courier(store, part, order, due, name):
    courier = claim(store, part)
    assert order(name) == "later"
    assert order("undo") == "ok"
    assert store.place(part, JOB, QUEUE) == "c" and not {"f", "h", "r"} & set(store.record(part, JOB))
    courier.settle(End(JOB, QUEUE, courier.token, "back", delay=HOUR, chunks=2))
    assert store.place(part, JOB, QUEUE) == "q"


@pytest.mark.parametrize("name, where", [("hold", "h"), ("bounce", "q")])
@pytest.mark.parametrize("state", [None, "tried"])
def test_undo_of_an_order_that_its_courier_met_gives_the_due_time_it_would_have_had(store, part, order, due, name, where, state):
    courier = claim(store, part)
    order(name)
    before = store.now_ms()
    courier.settle(End(JOB, QUEUE, courier.token, "back", delay=HOUR, state=state or "as it was", chunks=2))
    assert store.place(part, JOB, QUEUE) == where
    assert order("undo") == "ok"
    assert before + HOUR <= store.redis.zscore(part.queue(QUEUE), JOB) <= store.now_ms() + HOUR
    assert not {"f", "h", "r"} & set(store.record(part, JOB))


def test_an_attempt_makes_undo_void(store, part, order, due):
    order("retry")
    courier = claim(store, part)
    assert order("undo") == "left", "it is being tried"
    courier.settle(End(JOB, QUEUE, courier.token, "back", delay=5000, state="tried", chunks=2))
    before = store.dump()
    assert order("undo") == "left" and store.dump() == before
    assert "r" not in store.record(part, JOB)


def test_what_was_given_back_untried_can_be_undone(store, part, order, due):
    order("retry")
    courier = claim(store, part)
    courier.settle(End(JOB, QUEUE, courier.token, "back", chunks=2))
    assert order("undo") == "ok" and is_as_before(store, part, due)


def test_what_its_courier_put_aside_stays_there(store, part, order, due):
    order("retry")
    courier = claim(store, part)
    courier.settle(End(JOB, QUEUE, courier.token, "hold", event="held", detail="content is missing", chunks=2))
    before = store.dump()
    assert order("undo") == "left" and store.dump() == before


def test_what_a_dead_courier_may_have_tried_stays_due(store, part, order, due):
    order("retry")
    claim(store, part)
    store.run(part.reap(1000000))
    assert store.place(part, JOB, QUEUE) == "q"
    assert order("undo") == "left"


def test_a_hold_met_by_the_reaper_is_undone_to_now(store, part, order, due):
    claim(store, part)
    order("hold")
    store.run(part.reap(1000000))
    assert store.place(part, JOB, QUEUE) == "h"
    assert order("undo") == "ok"
    assert store.redis.zscore(part.queue(QUEUE), JOB) <= store.now_ms() and "h" not in store.record(part, JOB)


def test_a_delete_that_waits_is_not_undone_by_an_older_rule(store, part, order, due):
    claim(store, part)
    order("hold")
    assert store.run(part.delete(JOB, QUEUE)) == "later"
    assert order("undo") == "left" and store.record(part, JOB)["f"] == "delete"


@pytest.mark.parametrize("note", ["", "r7", "r7 q", "r7 q h", "r7 q h x", "r7 z h 5", " q h 5", "r7  h 5", "\0", "r7 q h 5" * 9000])
def test_a_damaged_note_undoes_nothing_else(store, part, order, due, note):
    order("hold")
    store.redis.hset(part.record(JOB), "r", note)
    answer = order("undo")
    assert answer in ("left", "ok")
    assert (answer == "ok") == (note == "r7 q h 5" * 9000)


def test_a_record_of_another_type_is_gone(store, part, order, due):
    store.redis.delete(part.record(JOB))
    store.redis.set(part.record(JOB), "text")
    before = store.dump()
    assert order("undo") == "gone" and store.dump() == before


@pytest.mark.parametrize("later", ["hold", "retry", "bounce"])
def test_undo_of_a_later_order_takes_back_no_earlier_one(store, part, order, due, later):
    """Found by a review: a deleted parent, or a job on its way back, was delivered after all."""
    order("bounce")
    order(later, rule="r8")
    order("undo", rule="r8")
    assert store.record(part, JOB)["f"] == "bounce"


def test_a_retry_leaves_the_undo_of_a_bounce(store, part, order, due):
    order("bounce")
    order("retry", rule="r8")
    assert order("undo") == "ok"
    assert is_as_before(store, part, due)
