"""Settling: outcomes, stale tokens, repeats, reports, and what the operator asked for meanwhile."""

import pytest

from protocol.calls import End, Report
from protocol.store import Courier

JOB, QUEUE = "M1.0", "example.com"
DSN = "D1.0"


@pytest.fixture
def courier(store, part):
    """Has claimed JOB under `.token`."""
    store.run(part.commit(JOB, QUEUE, ("one", "two"), digest="dg"))
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    return courier


def end(courier, outcome="end", **more):
    more = {"token": courier.token, "chunks": 2, **more}
    return End(JOB, QUEUE, outcome=outcome, **more)


def report(**more):
    return Report(DSN, "dsn digest", "dsn content", **more)


def test_end_removes_job_and_content_and_leaves_the_mark(store, part, courier):
    assert courier.settle(end(courier)) == ["ok"]
    assert store.place(part, JOB, QUEUE) == ""
    assert sorted(key for key in store.redis.keys() if JOB in key) == [part.seen(JOB)]
    assert store.redis.get(part.seen(JOB)) == "dg"


def test_end_repeated_is_gone(store, courier):
    courier.settle(end(courier))
    before = store.dump()
    assert courier.settle(end(courier)) == ["gone"]
    assert store.dump() == before


def test_end_with_a_stale_token_changes_nothing(store, courier):
    before = store.dump()
    assert courier.settle(end(courier, token="1.999")) == ["stale"]
    assert store.dump() == before


# proves: I16
def test_back_may_move_a_job_to_another_queue_of_its_domain(store, part, courier):
    moved = End(JOB, "example.com/bulk", courier.token, "back", delay=1000, event="moved", chunks=2, moves=True)
    assert courier.settle(moved) == ["ok"]
    assert store.place(part, JOB, QUEUE) == "" and store.place(part, JOB, "example.com/bulk") == "q"
    assert store.record(part, JOB)["q"] == "example.com/bulk" and "k" not in store.record(part, JOB)
    assert store.redis.zscore(part.due_index, "example.com/bulk") <= store.now_ms() + 1000
    before = store.dump()
    assert courier.settle(moved) == ["stale"]
    assert store.dump() == before


def test_a_moved_job_obeys_what_was_ordered_meanwhile(store, part, courier):
    store.run(part.order("bounce", JOB, QUEUE))
    moved = End(JOB, "example.com/bulk", courier.token, "back", delay=1000, event="moved", chunks=2, moves=True)
    assert courier.settle(moved) == ["ok"]
    assert store.record(part, JOB)["q"] == "example.com/bulk" and store.record(part, JOB)["f"] == "bounce"
    assert store.place(part, JOB, "example.com/bulk") == "q"


def test_a_job_held_while_it_was_to_move_stays_in_its_queue(store, part, courier):
    store.run(part.order("hold", JOB, QUEUE))
    moved = End(JOB, "example.com/bulk", courier.token, "back", event="moved", chunks=2, moves=True)
    assert courier.settle(moved) == ["ok"]
    assert store.place(part, JOB, QUEUE) == "h" and store.record(part, JOB)["q"] == QUEUE


# proves: A07
@pytest.mark.parametrize("outcome", ["end", "back", "hold", "keep"])
def test_every_outcome_of_a_reaped_claim_is_stale(store, part, courier, outcome):
    store.run(part.reap(1))
    before = store.dump()
    assert courier.settle(end(courier, outcome, state="late", next="1.7", report=report())) == ["stale"]
    after = store.dump()
    assert after.pop(part.chunk_key(DSN, 0)) == ("dsn content", True)
    assert after == before


@pytest.mark.parametrize("outcome", ["end", "back", "hold", "keep"])
def test_every_outcome_is_stale_once_another_has_the_job(store, part, courier, outcome):
    store.run(part.reap(1))
    other = Courier(store, 2)
    assert [job for job, _ in other.claim(QUEUE)] == [JOB]
    before = store.dump()
    assert courier.settle(end(courier, outcome, state="late", next="1.7")) == ["stale"]
    assert store.dump() == before
    assert other.settle(end(other)) == ["ok"]


@pytest.mark.parametrize("outcome", ["end", "back", "hold", "keep"])
def test_every_outcome_of_a_deleted_job_is_gone(store, part, courier, outcome):
    store.run(part.reap(1))
    store.run(part.delete(JOB, QUEUE))
    before = store.dump()
    assert courier.settle(end(courier, outcome, state="late", next="1.7")) == ["gone"]
    assert store.dump() == before


def test_back_with_state_defers(store, part, courier):
    store.redis.hset(part.record(JOB), "x", 1)
    done = end(courier, "back", delay=60000, state="tried once", event="deferred", detail="451 later")
    assert courier.settle(done) == ["ok"]
    record = store.record(part, JOB)
    assert store.place(part, JOB, QUEUE) == "q" and 59000 < store.due(part, JOB, QUEUE) <= 60000
    assert record["s"] == "tried once" and "k" not in record and "x" not in record
    assert abs(int(record["y"]) - store.now_ms()) < 5000
    assert store.history(part)[-1] == ("deferred", JOB, "451 later")


def test_back_without_state_releases(store, part, courier):
    store.redis.hset(part.record(JOB), "x", 1)
    assert courier.settle(end(courier, "back", event="released")) == ["ok"]
    record = store.record(part, JOB)
    assert store.place(part, JOB, QUEUE) == "q" and store.due(part, JOB, QUEUE) <= 0
    assert record["s"] == "state" and record["x"] == "1" and "k" not in record and "y" not in record


def test_back_brings_its_queue_forward(store, part, courier):
    store.redis.zadd(part.due_index, {QUEUE: store.now_ms() + 30000})
    courier.settle(end(courier, "back", delay=1000))
    assert store.redis.zscore(part.due_index, QUEUE) == store.redis.zscore(part.queue(QUEUE), JOB)


@pytest.mark.parametrize("outcome", ["back", "hold"])
def test_repeated_back_or_hold_is_stale(store, courier, outcome):
    done = end(courier, outcome, delay=1000, state="s2")
    assert courier.settle(done) == ["ok"]
    before = store.dump()
    assert courier.settle(done) == ["stale"]
    assert store.dump() == before


def test_state_with_an_unknown_child_is_not_dated(store, part, courier):
    courier.settle(end(courier, "back", state="unknown child", exact=False))
    record = store.record(part, JOB)
    assert record["s"] == "unknown child" and "y" not in record


def test_hold_holds(store, part, courier):
    assert courier.settle(end(courier, "hold", event="held", detail="rule 5")) == ["ok"]
    assert store.place(part, JOB, QUEUE) == "h" and "k" not in store.record(part, JOB)
    assert store.history(part)[-1] == ("held", JOB, "rule 5")


# proves: A06
def test_keep_records_and_stays_claimed(store, part, courier):
    store.redis.hset(part.record(JOB), "x", 1)
    assert courier.settle(end(courier, "keep", next="1.50", state="half", event="")) == ["ok"]
    record = store.record(part, JOB)
    assert store.place(part, JOB, QUEUE) == "c" and record["k"] == "1.50" and record["s"] == "half"
    assert "x" not in record and "y" in record
    assert courier.settle(end(courier, token="1.50")) == ["ok"]


def test_keep_repeated_is_again(store, courier):
    done = end(courier, "keep", next="1.50", state="half", event="")
    courier.settle(done)
    before = store.dump()
    assert courier.settle(done) == ["again"]
    assert store.dump() == before


def test_keep_repeated_makes_no_second_report(store, part, courier):
    done = end(courier, "keep", next="1.50", state="half", report=report())
    assert courier.settle(done) == ["ok"]
    store.run(part.claim("#fanout", 1, 2, 1))
    before = store.dump()
    assert courier.settle(done) == ["again"]
    assert store.dump() == before


def test_token_before_a_keep_is_stale(store, courier):
    courier.settle(end(courier, "keep", next="1.50", state="half"))
    assert courier.settle(end(courier)) == ["stale"]


def test_keep_without_event_tells_nothing(store, part, courier):
    entries = store.entries(part)
    courier.settle(end(courier, "keep", next="1.50", state="half", event=""))
    assert store.entries(part) == entries


def test_keep_with_event_tells_it(store, part, courier):
    courier.settle(end(courier, "keep", next="1.50", state="half", event="attempted", detail="250 ok"))
    assert store.history(part)[-1] == ("attempted", JOB, "250 ok")


# Reports: a DSN exists if and only if the verdict it reports is recorded

# proves: A12
@pytest.mark.parametrize("outcome", ["end", "back", "keep", "hold"])
def test_verdict_and_report_are_one_write(store, part, courier, outcome):
    done = end(courier, outcome, state="s2", next="1.50", event="bounced", report=report())
    assert courier.settle(done) == ["ok"]
    record = store.record(part, DSN)
    assert {name: record[name] for name in "queusn"} == {
        "q": "#fanout", "u": "dsn digest", "e": "dsn envelope", "s": "dsn state", "n": "1"}
    assert store.place(part, DSN, "#fanout") == "q"
    assert store.redis.zscore(part.due_index, "#fanout") is not None
    assert store.redis.ttl(part.chunk_key(DSN, 0)) == -1
    assert ("accepted", DSN, "dsn of " + JOB) in store.history(part)


def test_no_report_with_a_stale_token(store, part, courier):
    assert courier.settle(end(courier, token="1.999", report=report())) == ["stale"]
    assert not store.record(part, DSN) and store.place(part, DSN, "#fanout") == ""


def test_no_second_report_by_a_repeat(store, part, courier):
    done = end(courier, report=report())
    courier.settle(done)
    other = Courier(store, 2)
    other.claim("#fanout")
    assert other.settle(End(DSN, "#fanout", other.token)) == ["ok"]
    assert courier.settle(done) == ["gone"]
    assert not store.record(part, DSN) and store.place(part, DSN, "#fanout") == ""


@pytest.mark.parametrize("size", [1, 100])
def test_report_whose_content_is_not_whole_is_incomplete(store, courier, size):
    before = store.dump()
    assert courier.settle(end(courier, report=report(size=size))) == ["incomplete"]
    after = store.dump()
    del after[courier.part.chunk_key(DSN, 0)]
    assert after == before


def test_report_without_content_is_incomplete_and_can_be_sent_again(store, part, courier):
    done = part.settle(end(courier, report=report()))
    kept, done.chunks = done.chunks, {}
    assert store.run(done) == ["incomplete"]
    assert store.place(part, JOB, QUEUE) == "c"
    done.chunks = kept
    assert store.run(done) == ["ok"]


def test_report_under_the_id_of_a_living_job_writes_nothing(store, part, courier):
    store.run(part.commit(DSN, "#fanout", ("dsn content",)))
    before = store.dump()
    assert courier.settle(end(courier, report=report())) == ["incomplete"]
    assert store.dump() == before


# What the operator asked for while the job was claimed

ORDERS = [
    # order, outcome wanted, event wanted -> place, event told
    ("hold", "back", "deferred", "h", "held"),
    ("hold", "hold", "held", "h", "held"),
    ("delete", "back", "deferred", "", "deleted"),
    ("delete", "hold", "held", "", "deleted"),
    ("bounce", "back", "deferred", "q", "deferred"),
    ("bounce", "hold", "held", "q", "released"),
]


@pytest.mark.parametrize("order, outcome, event, place, told", ORDERS)
def test_order_while_claimed_goes_first(store, part, courier, order, outcome, event, place, told):
    call = part.delete(JOB, QUEUE) if order == "delete" else part.order(order, JOB, QUEUE)
    assert store.run(call) == "later"
    done = end(courier, outcome, delay=60000, state="s2", event=event, detail="why")
    assert courier.settle(done) == ["ok"]
    assert store.place(part, JOB, QUEUE) == place
    assert store.history(part)[-1] == (told, JOB, "why")
    if place == "q":
        assert store.due(part, JOB, QUEUE) <= 0 and store.record(part, JOB)["f"] == "bounce"
    elif place == "h":
        assert "f" not in store.record(part, JOB)
    else:
        assert not store.record(part, JOB)


@pytest.mark.parametrize("order", ["hold", "delete", "bounce"])
def test_delivery_that_is_faster_than_an_order_wins(store, part, courier, order):
    store.run(part.delete(JOB, QUEUE) if order == "delete" else part.order(order, JOB, QUEUE))
    assert courier.settle(end(courier)) == ["ok"]
    assert store.place(part, JOB, QUEUE) == "" and store.history(part)[-1][0] == "delivered"


@pytest.mark.parametrize("order", ["hold", "delete", "bounce"])
def test_keep_goes_on_under_an_order(store, part, courier, order):
    store.run(part.delete(JOB, QUEUE) if order == "delete" else part.order(order, JOB, QUEUE))
    assert courier.settle(end(courier, "keep", next="1.50", state="half")) == ["ok"]
    assert store.place(part, JOB, QUEUE) == "c" and store.record(part, JOB)["f"] == order


def test_deleted_while_claimed_still_reports_what_failed(store, part, courier):
    store.run(part.delete(JOB, QUEUE))
    courier.settle(end(courier, "back", state="s2", event="deferred", report=report()))
    assert store.place(part, JOB, QUEUE) == "" and store.place(part, DSN, "#fanout") == "q"


def fanout_parent(store, part, w):
    store.run(part.commit("P.0", "#fanout", w=w))
    courier = Courier(store, 3)
    courier.claim("#fanout")
    return courier


def test_deleted_parent_whose_content_is_read_goes_back(store, part):
    courier = fanout_parent(store, part, 1)
    assert store.run(part.delete("P.0", "#fanout")) == "later"
    courier.settle(End("P.0", "#fanout", courier.token, "back", 60000, state="waiting"))
    assert store.place(part, "P.0", "#fanout") == "q" and store.due(part, "P.0", "#fanout") > 50000
    assert store.redis.exists(part.chunk_key("P.0", 0))


def test_deleted_parent_whose_content_was_copied_ends(store, part):
    courier = fanout_parent(store, part, 0)
    store.run(part.delete("P.0", "#fanout"))
    courier.settle(End("P.0", "#fanout", courier.token, "back", state="waiting"))
    assert store.place(part, "P.0", "#fanout") == ""


def test_a_parent_put_aside_stays_held_though_its_bounce_was_ordered(store, part):
    """Nobody could expand it: the order would only send it round."""
    courier = fanout_parent(store, part, 1)
    store.run(part.order("bounce", "P.0", "#fanout"))
    courier.settle(End("P.0", "#fanout", courier.token, "hold", state="s", event="held", detail="too old"))
    assert store.place(part, "P.0", "#fanout") == "h" and "f" not in store.record(part, "P.0")


# proves: A10
def test_a_parent_put_aside_is_deleted_if_that_was_promised(store, part):
    """Its children are looked for by whoever claims it next; nobody needs its content for that."""
    courier = fanout_parent(store, part, 1)
    assert store.run(part.delete("P.0", "#fanout")) == "later"
    courier.settle(End("P.0", "#fanout", courier.token, "hold", state="s", event="held", detail="too old"))
    assert store.place(part, "P.0", "#fanout") == "q" and store.record(part, "P.0")["f"] == "delete"
    assert 0 < store.due(part, "P.0", "#fanout") <= 1000


def test_a_parent_that_cannot_be_read_stays_held_whatever_was_ordered(store, part):
    courier = fanout_parent(store, part, 1)
    store.run(part.delete("P.0", "#fanout"))
    courier.settle(End("P.0", "#fanout", courier.token, "hold", event="held", detail="the record cannot be read"))
    assert store.place(part, "P.0", "#fanout") == "h"


# proves: A10
def test_bounce_of_a_job_that_cannot_be_read_ends_in_hold(store, part, courier):
    store.run(part.order("bounce", JOB, QUEUE))
    courier.settle(end(courier, "hold", event="held", detail="the record cannot be read"))
    assert store.place(part, JOB, QUEUE) == "h" and store.record(part, JOB)["h"] == "the record cannot be read"


def test_bounce_of_a_job_that_was_not_tried_keeps_its_delay(store, part, courier):
    """A courier that cannot read a newer version's record leaves it to others for a while."""
    store.run(part.order("bounce", JOB, QUEUE))
    courier.settle(end(courier, "back", delay=60000, event="released"))
    assert store.due(part, JOB, QUEUE) > 50000 and store.record(part, JOB)["f"] == "bounce"


def test_a_held_job_says_why(store, part, courier):
    courier.settle(end(courier, "hold", event="held", detail="content is missing"))
    assert store.record(part, JOB)["h"] == "content is missing"


def test_a_job_held_by_order_says_so(store, part, courier):
    store.run(part.order("hold", JOB, QUEUE))
    courier.settle(end(courier, "back", delay=60000, event="deferred", detail="421 later"))
    assert store.record(part, JOB)["h"] == "by operator"


def test_a_job_held_by_order_says_why_that_was(store, part, courier):
    assert store.run(part.order("hold", JOB, QUEUE, "by operator: user disabled")) == "later"
    courier.settle(end(courier, "back", delay=60000, event="deferred", detail="421 later"))
    assert store.record(part, JOB)["h"] == "by operator: user disabled" and "f" not in store.record(part, JOB)


def test_bounced_parent_keeps_its_delay(store, part):
    courier = fanout_parent(store, part, 1)
    store.run(part.order("bounce", "P.0", "#fanout"))
    courier.settle(End("P.0", "#fanout", courier.token, "back", 60000, state="waiting"))
    assert store.due(part, "P.0", "#fanout") > 50000


# Batches

def test_many_jobs_travel_in_one_call_and_are_answered_in_order(store, part):
    for name in "ABCDE":
        store.run(part.commit(f"{name}.0", QUEUE))
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    token = courier.token
    courier.settle(End("B.0", QUEUE, token))
    courier.settle(End("D.0", QUEUE, token, "keep", next="1.90", event=""))
    answers = courier.settle(
        End("A.0", QUEUE, token), End("B.0", QUEUE, token), End("C.0", QUEUE, "9.9"),
        End("D.0", QUEUE, token, "keep", next="1.90", event=""),
        End("E.0", QUEUE, token, report=Report(DSN, "u", "content", size=1)))
    assert answers == ["ok", "gone", "stale", "again", "incomplete"]
    assert [store.place(part, f"{name}.0", QUEUE) for name in "ABCDE"] == ["", "", "c", "c", "c"]


def test_a_batch_writes_one_entry_of_history_per_event(store, part):
    jobs = [f"{name}.0" for name in "ABCD"]
    for job in jobs:
        store.run(part.commit(job, QUEUE))
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    entries = store.entries(part)
    courier.settle(*(End(job, QUEUE, courier.token, detail="250 " + job) for job in jobs[:2]),
                   *(End(job, QUEUE, courier.token, "back", 1000, event="deferred", detail="451 " + job)
                     for job in jobs[2:]))
    assert store.entries(part) == entries + 2
    assert store.history(part)[-4:] == [
        ("delivered", "A.0", "250 A.0"), ("delivered", "B.0", "250 B.0"),
        ("deferred", "C.0", "451 C.0"), ("deferred", "D.0", "451 D.0")]


def test_a_batch_over_several_queues_puts_each_job_into_its_own(store, part):
    for job, queue in (("A.0", "a.example"), ("B.0", "b.example"), ("C.0", "b.example")):
        store.run(part.commit(job, queue))
    courier = Courier(store, 1)
    ends = []
    for queue in ("a.example", "b.example"):
        ends += [End(job, queue, courier.token, "back", 1000 if job == "C.0" else 5000)
                 for job, _ in courier.claim(queue)]
    store.redis.delete(part.due_index)
    assert courier.settle(*ends) == ["ok"] * 3
    assert store.place(part, "A.0", "a.example") == store.place(part, "B.0", "b.example") == "q"
    for queue, first in (("a.example", "A.0"), ("b.example", "C.0")):
        assert store.redis.zscore(part.due_index, queue) == store.redis.zscore(part.queue(queue), first)


def test_a_job_named_twice_in_one_call_is_settled_once(store, part, courier):
    assert courier.settle(end(courier, report=report()), end(courier, "back")) == ["ok", "stale"]
    assert store.place(part, JOB, QUEUE) == ""


def test_a_batch_of_500_passes_and_more_writes_nothing(store, part):
    for i in range(501):
        store.run(part.commit(f"J{i}.0", QUEUE, ("c",)))
    courier = Courier(store, 1)
    first = [job for job, _ in courier.claim(QUEUE, 1000)]
    token = courier.token
    assert len(first) == 500
    ends = [End(job, QUEUE, token, "back", state="s") for job in first]
    before = store.dump()
    with pytest.raises(Exception, match="too many jobs"):
        courier.settle(*ends, End("J500.0", QUEUE, token))
    assert store.dump() == before
    assert courier.settle(*ends) == ["ok"] * 500
