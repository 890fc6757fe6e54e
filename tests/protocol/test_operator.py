"""The operator's verbs: hold, unhold, retry, bounce, delete, in each place a job can be in."""

import pytest

from protocol.calls import End
from protocol.store import Courier

JOB, QUEUE = "M1.0", "example.com"
ORDERS = ["hold", "unhold", "retry", "bounce"]


@pytest.fixture
def order(store, part):
    def send(name, job=JOB, queue=QUEUE):
        return store.run(part.delete(job, queue) if name == "delete" else part.order(name, job, queue))
    return send


@pytest.fixture
def waiting(store, part):
    """JOB waits for an hour, tried before."""
    store.run(part.commit(JOB, QUEUE, ("one", "two"), digest="dg"))
    store.redis.zadd(part.queue(QUEUE), {JOB: store.now_ms() + 3600000})
    store.redis.zadd(part.due_index, {QUEUE: store.now_ms() + 3600000})


@pytest.fixture
def claimed(store, part, waiting):
    store.redis.zadd(part.queue(QUEUE), {JOB: 0})
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    return courier


@pytest.fixture
def held(store, part, waiting):
    store.run(part.order("hold", JOB, QUEUE))
    store.redis.hset(part.record(JOB), "x", 5)


def is_due(store, part):
    return (store.place(part, JOB, QUEUE) == "q" and store.due(part, JOB, QUEUE) <= 0
            and store.redis.zscore(part.due_index, QUEUE) <= store.now_ms())


@pytest.mark.parametrize("name", ORDERS + ["delete"])
def test_order_for_a_job_without_record_is_gone_and_writes_nothing(store, order, name):
    assert order(name) == "gone"
    assert store.redis.keys() == []


@pytest.mark.parametrize("name", ORDERS + ["delete"])
def test_an_order_reaches_a_job_that_has_moved_since_its_queue_was_looked_up(store, part, order, waiting, name):
    if name == "unhold":
        order("hold")
    assert order(name, queue="example.com/old") == ("deleted" if name == "delete" else "ok")
    where = {"hold": "h", "unhold": "q", "retry": "q", "bounce": "q", "delete": ""}[name]
    assert store.place(part, JOB, QUEUE) == where
    assert not store.redis.exists(part.queue("example.com/old"))


def test_hold_of_a_waiting_job(store, part, order, waiting):
    assert order("hold") == "ok"
    assert store.place(part, JOB, QUEUE) == "h" and store.record(part, JOB)["h"] == "by operator"
    assert store.history(part)[-1] == ("held", JOB, "by operator")


def test_a_hold_says_why(store, part, waiting):
    store.run(part.order("hold", JOB, QUEUE, "by operator: user disabled"))
    assert store.record(part, JOB)["h"] == "by operator: user disabled"
    assert store.history(part)[-1] == ("held", JOB, "by operator: user disabled")


def test_hold_of_a_held_job_changes_nothing(store, order, held):
    before = store.dump()
    assert order("hold") == "ok"
    assert store.dump() == before


def test_hold_of_a_claimed_job_is_later(store, part, order, claimed):
    assert order("hold") == "later" and order("hold") == "later"
    assert store.place(part, JOB, QUEUE) == "c" and store.record(part, JOB)["f"] == "hold"


def test_unhold_makes_due_and_forgives(store, part, order, held):
    store.redis.hset(part.record(JOB), "f", "bounce")
    assert order("unhold") == "ok"
    assert is_due(store, part) and not {"f", "x", "h"} & set(store.record(part, JOB))


def test_unhold_repeated_changes_nothing(store, order, held):
    order("unhold")
    before = store.dump()
    assert order("unhold") == "ok"
    assert store.dump() == before


def test_unhold_of_a_waiting_job_changes_nothing(store, order, waiting):
    before = store.dump()
    assert order("unhold") == "ok"
    assert store.dump() == before


def test_unhold_takes_back_a_hold_that_waits_for_its_courier(store, part, order, claimed):
    order("hold")
    assert order("unhold") == "ok"
    assert "f" not in store.record(part, JOB)
    claimed.settle(End(JOB, QUEUE, claimed.token, "back", chunks=2))
    assert store.place(part, JOB, QUEUE) == "q"


def test_unhold_takes_back_no_other_order(store, part, order, claimed):
    order("bounce")
    order("unhold")
    assert store.record(part, JOB)["f"] == "bounce"


def test_retry_makes_a_waiting_job_due(store, part, order, waiting):
    assert order("retry") == "ok"
    assert is_due(store, part)


@pytest.mark.parametrize("where", ["claimed", "held"])
def test_retry_leaves_claimed_and_held_jobs_alone(store, order, where, request):
    request.getfixturevalue(where)
    before = store.dump()
    assert order("retry") == "ok"
    assert store.dump() == before


def test_bounce_of_a_waiting_job_makes_it_due(store, part, order, waiting):
    assert order("bounce") == "ok"
    assert is_due(store, part) and store.record(part, JOB)["f"] == "bounce"


def test_bounce_of_a_held_job_makes_it_due(store, part, order, held):
    assert order("bounce") == "ok"
    record = store.record(part, JOB)
    assert is_due(store, part) and record["f"] == "bounce" and not {"x", "h"} & set(record)


def test_bounce_repeated_changes_no_state(store, part, order, waiting):
    order("bounce")
    record = store.record(part, JOB)
    assert order("bounce") == "ok"
    assert store.record(part, JOB) == record and is_due(store, part)


def test_bounce_of_a_claimed_job_is_later(store, part, order, claimed):
    assert order("bounce") == "later"
    assert store.place(part, JOB, QUEUE) == "c" and store.record(part, JOB)["f"] == "bounce"


@pytest.mark.parametrize("where", ["waiting", "held"])
def test_delete_removes_job_and_content_and_leaves_a_mark(store, part, order, where, request):
    request.getfixturevalue(where)
    assert order("delete") == "deleted"
    assert sorted(key for key in store.redis.keys() if JOB in key) == [part.seen(JOB)]
    assert store.redis.get(part.seen(JOB)) == "dg" and 3500 < store.redis.ttl(part.seen(JOB)) <= 3600
    assert store.place(part, JOB, QUEUE) == ""
    assert store.history(part)[-1] == ("deleted", JOB, "by operator")


def test_delete_repeated_is_gone(store, order, waiting):
    order("delete")
    before = store.dump()
    assert order("delete") == "gone"
    assert store.dump() == before


def test_commit_repeated_after_a_delete_is_again(store, part, order, waiting):
    order("delete")
    assert store.run(part.commit(JOB, QUEUE, ("one", "two"), digest="dg")) == "again"
    assert store.place(part, JOB, QUEUE) == ""


def test_mark_of_a_deleted_child_lasts_as_long_as_its_carry_may_come(store, part, order):
    store.run(part.commit(JOB, QUEUE, digest="dg", mark_ms=86400000, script="carry"))
    order("delete")
    assert store.redis.ttl(part.seen(JOB)) > 86000


def test_delete_of_a_claimed_job_is_later(store, part, order, claimed):
    assert order("delete") == "later" and order("delete") == "later"
    assert store.place(part, JOB, QUEUE) == "c" and store.record(part, JOB)["f"] == "delete"


def test_delete_of_a_held_job_without_record_removes_it(store, part, order, held):
    store.redis.delete(part.record(JOB))
    assert order("delete") == "gone"
    assert store.place(part, JOB, QUEUE) == ""


def test_delete_of_a_claim_without_record_leaves_it_to_reap(store, part, order, claimed):
    store.redis.delete(part.record(JOB))
    assert order("delete") == "gone"
    assert store.place(part, JOB, QUEUE) == "c"


@pytest.fixture
def parent(store, part):
    """A parent whose content its children read, expanded in part."""
    store.run(part.commit("P.0", "#fanout", w=1))
    courier = Courier(store, 1)
    courier.claim("#fanout")
    courier.settle(End("P.0", "#fanout", courier.token, "back", 60000, state="cursor 1"))


def test_delete_of_an_expanded_parent_keeps_the_content(store, part, order, parent):
    assert order("delete", "P.0", "#fanout") == "later"
    assert store.record(part, "P.0")["f"] == "delete" and store.place(part, "P.0", "#fanout") == "q"
    assert store.redis.exists(part.chunk_key("P.0", 0))


def test_delete_of_a_held_expanded_parent_lets_it_go_on(store, part, order, parent):
    order("hold", "P.0", "#fanout")
    store.redis.hset(part.record("P.0"), "x", 5)
    assert order("delete", "P.0", "#fanout") == "later"
    assert store.place(part, "P.0", "#fanout") == "q" and store.due(part, "P.0", "#fanout") <= 0
    assert "x" not in store.record(part, "P.0") and store.record(part, "P.0")["f"] == "delete"


def test_delete_of_a_parent_never_claimed_takes_the_content(store, part, order):
    store.run(part.commit("P.0", "#fanout", w=1))
    assert order("delete", "P.0", "#fanout") == "deleted"
    assert not store.redis.exists(part.chunk_key("P.0", 0))


# ---- moved to another store

def moved(store, part, job=JOB, queue=QUEUE):
    return store.run(part.delete(job, queue, revoke="moved"))


def test_a_moved_job_leaves_a_mark_that_says_so(store, part, held):
    assert moved(store, part) == "deleted"
    assert store.redis.get(part.seen(JOB)) == "moved dg" and 3500 < store.redis.ttl(part.seen(JOB)) <= 3600
    assert store.history(part)[-1] == ("deleted", JOB, "moved to another store")
    before = store.dump()
    assert moved(store, part) == "gone" and store.dump() == before


def test_a_late_commit_of_a_moved_job_is_again(store, part, held):
    moved(store, part)
    assert store.run(part.commit(JOB, QUEUE, ("one", "two"), digest="dg")) == "again"
    assert store.run(part.commit(JOB, QUEUE, ("one", "two"), digest="other")) == "clash"
    assert store.place(part, JOB, QUEUE) == ""


def test_a_moved_job_comes_back_once_whoever_brings_it(store, part, held):
    moved(store, part)
    again = part.commit(JOB, QUEUE, ("one", "two"), digest="dg", back=True)
    assert [store.run(again), store.run(again)] == ["new", "again"], "it lives"
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    assert courier.settle(End(JOB, QUEUE, courier.token, "end", chunks=2)) == ["ok"]
    assert store.run(again) == "again" and store.place(part, JOB, QUEUE) == "", "it has ended: nobody makes it anew"


def test_what_was_revoked_or_has_ended_does_not_come_back(store, part):
    for mark, answer in (("revoked", "revoked"), ("dg", "again"), ("moved other", "clash")):
        store.redis.set(part.seen(JOB), mark)
        assert store.run(part.commit(JOB, QUEUE, digest="dg", back=True)) == answer


def test_a_moved_job_is_not_revoked(store, part, held):
    moved(store, part)
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "claimed", "the other store may have delivered it"


def test_a_moved_parent_that_others_read_says_so_to_its_end(store, part, order, parent):
    order("hold", "P.0", "#fanout")
    digest = store.record(part, "P.0")["u"]
    assert moved(store, part, "P.0", "#fanout") == "later" and moved(store, part, "P.0", "#fanout") == "later"
    record = store.record(part, "P.0")
    assert (record["f"], record["u"]) == ("delete", f"moved {digest}") and store.place(part, "P.0", "#fanout") == "q"
    assert store.run(part.commit("P.0", "#fanout", digest=digest, w=1)) == "again"
