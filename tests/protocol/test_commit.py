"""Accepting: commit, its repeats, its marks; taking back what is in doubt."""

import pytest

from protocol.calls import End
from protocol.store import Courier

JOB, QUEUE = "M1.0", "example.com"


def accept(store, part, **more):
    return store.run(part.commit(JOB, QUEUE, **more))


# proves: A01 A11
def test_commit_makes_record_place_and_permanent_content(store, part):
    assert accept(store, part, pieces=("one", "two"), digest="dg", envelope="env", state="st") == "new"
    record = store.record(part, JOB)
    assert {name: record[name] for name in "queusn"} == {
        "q": QUEUE, "u": "dg", "e": "env", "s": "st", "n": "2"} and "w" not in record and "k" not in record
    assert 59000 <= int(record["m"]) - store.now_ms() <= 60000
    assert store.place(part, JOB, QUEUE) == "q" and store.due(part, JOB, QUEUE) <= 0
    assert store.redis.zscore(part.due_index, QUEUE) == store.redis.zscore(part.queue(QUEUE), JOB)
    assert [store.redis.ttl(part.chunk_key(JOB, i)) for i in range(2)] == [-1, -1]


def test_commit_tells_history_with_its_detail(store, part):
    accept(store, part, detail="from 192.0.2.1")
    assert store.history(part) == [("accepted", JOB, "from 192.0.2.1")]


def test_commit_keeps_that_children_read_the_content(store, part):
    accept(store, part, w=1)
    assert store.record(part, JOB)["w"] == "1"


def test_commit_brings_a_parked_queue_forward(store, part):
    store.redis.zadd(part.due_index, {QUEUE: store.now_ms() + 30000})
    accept(store, part)
    assert store.redis.zscore(part.due_index, QUEUE) <= store.now_ms()


def test_commit_never_puts_a_queue_off(store, part):
    store.redis.zadd(part.due_index, {QUEUE: 5})
    accept(store, part)
    assert store.redis.zscore(part.due_index, QUEUE) == 5


def test_repeat_while_the_job_waits_is_again(store, part):
    accept(store, part)
    before = store.dump()
    assert accept(store, part) == "again"
    assert store.dump() == before


def test_repeat_while_the_job_is_claimed_is_again(store, part):
    accept(store, part)
    Courier(store, 1).claim(QUEUE)
    before = store.dump()
    assert accept(store, part) == "again"
    assert store.dump() == before


def test_repeat_while_the_job_is_held_is_again(store, part):
    accept(store, part)
    store.run(part.order("hold", JOB, QUEUE))
    assert accept(store, part) == "again"
    assert store.place(part, JOB, QUEUE) == "h"


# proves: A05
def test_repeat_after_the_end_is_again_and_makes_nothing(store, part):
    accept(store, part)
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    assert courier.settle(End(JOB, QUEUE, courier.token)) == ["ok"]
    assert accept(store, part) == "again"
    assert store.place(part, JOB, QUEUE) == "" and not store.record(part, JOB)


def test_content_of_a_repeat_after_the_end_has_a_time_limit(store, part):
    accept(store, part)
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    courier.settle(End(JOB, QUEUE, courier.token))
    accept(store, part)
    assert store.redis.ttl(part.chunk_key(JOB, 0)) > 0


def test_content_of_a_repeat_puts_no_time_limit_back(store, part):
    accept(store, part)
    accept(store, part)
    assert store.redis.ttl(part.chunk_key(JOB, 0)) == -1


def test_mark_ends_mark_ms_after_the_commit(store, part):
    accept(store, part, mark_ms=60000)
    mark_until = int(store.record(part, JOB)["m"])
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    courier.settle(End(JOB, QUEUE, courier.token))
    assert store.redis.pexpiretime(part.seen(JOB)) == mark_until if hasattr(store.redis, "pexpiretime") else (
        abs(store.redis.pttl(part.seen(JOB)) - (mark_until - store.now_ms())) < 1000)


def test_no_mark_is_left_when_its_time_is_over(store, part):
    accept(store, part, mark_ms=0)
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    courier.settle(End(JOB, QUEUE, courier.token))
    assert not store.redis.exists(part.seen(JOB))


def test_another_message_with_a_living_id_is_clash(store, part):
    accept(store, part, digest="one")
    before = store.dump()
    assert accept(store, part, digest="two") == "clash"
    assert store.dump() == before


def test_another_message_with_an_ended_id_is_clash(store, part):
    accept(store, part, digest="one")
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    courier.settle(End(JOB, QUEUE, courier.token))
    assert accept(store, part, digest="two") == "clash"


# proves: A11
def test_a_missing_chunk_is_incomplete(store, part):
    call = part.commit(JOB, QUEUE, ("one", "two"))
    call.chunks.popitem()
    assert store.run(call) == "incomplete"
    assert not store.record(part, JOB) and not store.redis.exists(part.due_index, part.queue(QUEUE))
    assert store.redis.ttl(part.chunk_key(JOB, 0)) > 0


def test_a_short_chunk_is_incomplete(store, part):
    assert accept(store, part, size=8) == "incomplete"


def test_incomplete_can_be_sent_again_whole(store, part):
    call = part.commit(JOB, QUEUE, ("one", "two"))
    kept = dict(call.chunks)
    call.chunks = {}
    assert store.run(call) == "incomplete"
    call.chunks = kept
    assert store.run(call) == "new"


def test_a_child_without_content_of_its_own_is_complete(store, part):
    assert accept(store, part, pieces=()) == "new"
    assert store.record(part, JOB)["n"] == "0"


def test_carry_is_the_same_text_for_a_full_redis(store, part):
    assert accept(store, part, script="carry") == "new"
    assert accept(store, part, script="carry") == "again"
    assert accept(store, part) == "again"


# Taking back

def test_revoke_of_a_waiting_commit_deletes_it(store, part):
    accept(store, part)
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "deleted"
    assert store.place(part, JOB, QUEUE) == "" and not store.record(part, JOB)
    assert not store.redis.exists(part.chunk_key(JOB, 0))
    assert ("deleted", JOB, "revoked") in store.history(part)


def test_revoke_repeated_is_gone(store, part):
    accept(store, part)
    store.run(part.delete(JOB, QUEUE, revoke=True))
    before = store.dump()
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "gone"
    assert store.dump() == before


# proves: A05
def test_commit_that_arrives_after_its_revoke_is_revoked(store, part):
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "gone"
    assert accept(store, part) == "revoked"
    assert not store.record(part, JOB)


def test_repeat_of_a_revoked_commit_is_revoked(store, part):
    accept(store, part)
    store.run(part.delete(JOB, QUEUE, revoke=True))
    assert accept(store, part) == "revoked"
    assert store.redis.ttl(part.seen(JOB)) > 3500


@pytest.mark.parametrize("outcome", ["claimed", "deferred", "reaped", "ended"])
def test_revoke_of_a_job_that_may_have_left_is_refused(store, part, outcome):
    accept(store, part)
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    if outcome == "deferred":
        courier.settle(End(JOB, QUEUE, courier.token, "back", 1000, state="tried", event="deferred"))
    elif outcome == "reaped":
        store.run(part.reap("1"))
    elif outcome == "ended":
        courier.settle(End(JOB, QUEUE, courier.token))
    before = store.dump()
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "claimed"
    assert store.dump() == before


def test_revoke_of_a_job_claimed_and_released_untried_is_allowed(store, part):
    accept(store, part)
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    courier.settle(End(JOB, QUEUE, courier.token, "back", event="released"))
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "deleted"


def test_revoke_of_a_held_commit_deletes_it(store, part):
    accept(store, part)
    store.run(part.order("hold", JOB, QUEUE))
    assert store.run(part.delete(JOB, QUEUE, revoke=True)) == "deleted"
    assert store.place(part, JOB, QUEUE) == ""
