"""Claiming: who gets what, repeats, suspects, pauses."""

import pytest

from protocol.calls import End
from protocol.store import Courier

QUEUE = "example.com"


@pytest.fixture
def fill(store, part):
    def commit(*jobs, queue=QUEUE, **more):
        for job in jobs:
            assert store.run(part.commit(job, queue, digest="dg" + job, **more)) == "new"
    return commit


def names(jobs):
    return [job for job, _ in jobs]


def test_claim_moves_jobs_to_the_courier(store, part, fill):
    fill("A.0", "B.0")
    courier = Courier(store, 77)
    assert names(courier.claim(QUEUE)) == ["A.0", "B.0"]
    for job in ("A.0", "B.0"):
        assert store.place(part, job, QUEUE) == "c"
        assert store.redis.zscore(part.claimed, job) == 77
        assert store.record(part, job)["k"] == courier.token == "77.1"


def test_claim_answers_with_the_record(store, part, fill):
    fill("A.0", envelope="env", state="st", pieces=("a", "b"), w=1)
    ((_, fields),) = Courier(store, 1).claim(QUEUE)
    assert fields == ["env", "st", "2", None, None, None, "1", "dgA.0", None]


def test_claim_tells_which_rule_released_a_job(store, part, fill):
    fill("A.0")
    store.run(part.order("hold", "A.0", QUEUE))
    store.run(part.order("unhold", "A.0", QUEUE, rule="r7"))
    courier = Courier(store, 1)
    assert [fields[8].split()[:3] for _, fields in courier.claim(QUEUE)] == [["r7", "h", "q"]]


def test_claim_tells_its_token_to_history_in_one_entry(store, part, fill):
    fill("A.0", "B.0")
    entries = store.entries(part)
    Courier(store, 1).claim(QUEUE)
    assert store.history(part)[2:] == [("claimed", "A.0", "1.1"), ("claimed", "B.0", "1.1")]
    assert store.entries(part) == entries + 1


def test_16_digit_incarnations_are_exact(store, part, fill):
    fill("A.0")
    Courier(store, 1795342000000001).claim(QUEUE)
    assert store.redis.zrangebyscore(part.claimed, "1795342000000001", "1795342000000001") == ["A.0"]
    assert not store.redis.zrangebyscore(part.claimed, "1795342000000002", "+inf")


def test_claim_takes_the_longest_due_first_and_at_most_n(store, part, fill):
    fill("A.0", "B.0", "C.0")
    store.redis.zadd(part.queue(QUEUE), {"C.0": 1, "B.0": 2, "A.0": 3})
    assert names(Courier(store, 1).claim(QUEUE, 2)) == ["C.0", "B.0"]


def test_claim_leaves_jobs_that_are_not_due(store, part, fill):
    fill("A.0", "B.0")
    store.redis.zadd(part.queue(QUEUE), {"A.0": store.now_ms() + 60000})
    assert names(Courier(store, 1).claim(QUEUE)) == ["B.0"]


def test_claim_stops_at_its_bytes_but_gives_one_always(store, part, fill):
    fill("A.0", "B.0", "C.0", envelope="e" * 60, state="s" * 40)
    assert len(Courier(store, 1).claim(QUEUE, most_bytes=10)) == 1
    assert len(Courier(store, 2).claim(QUEUE, most_bytes=200)) == 2


def test_claim_of_nothing_writes_nothing(store):
    assert Courier(store, 1).claim(QUEUE) == []
    assert store.redis.keys() == []


# proves: A07
def test_two_couriers_never_get_one_job(store, fill):
    fill("A.0", "B.0", "C.0")
    first, second = Courier(store, 1), Courier(store, 2)
    taken = names(first.claim(QUEUE, 2)) + names(second.claim(QUEUE, 2)) + names(first.claim(QUEUE, 2))
    assert sorted(taken) == ["A.0", "B.0", "C.0"]


def test_repeat_gives_the_same_jobs_and_changes_nothing(store, fill):
    fill("A.0", "B.0", "C.0")
    courier = Courier(store, 1)
    jobs = courier.claim(QUEUE, 2)
    before = store.dump()
    answer = courier.again(QUEUE, 2)
    assert answer[:2] == ["jobs", "1.1"] and sorted(answer[2]) == sorted(jobs)
    assert store.dump() == before


def test_repeat_gives_only_jobs_of_its_own_token(store, fill):
    fill("A.0", "B.0")
    courier = Courier(store, 1)
    courier.claim(QUEUE, 1)
    jobs = courier.claim(QUEUE, 1)
    assert courier.again(QUEUE, 1)[2] == jobs


def test_repeat_in_a_paused_queue_still_gives_its_jobs(store, part, fill):
    fill("A.0")
    courier = Courier(store, 1)
    jobs = courier.claim(QUEUE)
    store.run(part.pause(QUEUE, 60000))
    assert courier.again(QUEUE)[2] == jobs


def test_repeat_of_a_request_that_never_arrived_claims(store, fill):
    fill("A.0")
    courier = Courier(store, 1)
    courier.seq = 1
    assert names(courier.again(QUEUE)[2]) == ["A.0"]


def test_first_request_after_its_repeat_claims_more_under_the_same_token(store, part, fill):
    fill("A.0", "B.0")
    courier = Courier(store, 1)
    courier.seq = 1
    courier.again(QUEUE, 1)
    late = store.run(part.claim(QUEUE, 1, 1, 1))
    assert names(late[2]) == ["B.0"] and store.record(part, "B.0")["k"] == "1.1"


def test_claim_of_a_buried_courier_is_found_by_the_next_reap(store, part, fill):
    fill("A.0")
    assert store.run(part.reap(5)) == 0
    Courier(store, 5).claim(QUEUE)
    assert store.run(part.reap(5)) == 1
    assert store.place(part, "A.0", QUEUE) == "q"


def test_a_paused_queue_waits(store, part, fill):
    fill("A.0")
    store.run(part.pause(QUEUE, 60000))
    kind, until = store.run(part.claim(QUEUE, 10, 1, 1))
    assert kind == "wait" and 59000 < int(until) - store.now_ms() <= 60000
    assert store.place(part, "A.0", QUEUE) == "q"


def test_a_pause_that_is_over_does_not_wait(store, part, fill):
    fill("A.0")
    store.redis.hset(part.pause_state(QUEUE), mapping={"until": store.now_ms() - 1, "error": "x"})
    assert names(Courier(store, 1).claim(QUEUE)) == ["A.0"]


def test_while_a_pause_is_on_record_the_answer_says_why(store, part, fill):
    fill("A.0", "B.0")
    store.redis.hset(part.pause_state(QUEUE), mapping={"until": store.now_ms() - 1, "error": "no route"})
    assert store.run(part.claim(QUEUE, 1, 1, 1))[3] == "no route"
    assert store.run(part.claim(QUEUE, 1, 1, 1, repeated=True))[3] == "no route"
    store.run(part.pause(QUEUE, 0))
    assert store.run(part.claim(QUEUE, 1, 1, 2))[3] == ""


def test_a_broken_pause_state_stops_no_claim(store, part, fill):
    fill("A.0")
    store.redis.set(part.pause_state(QUEUE), "text")
    kind, _, jobs, error, held = store.run(part.claim(QUEUE, 1, 1, 1))
    assert kind == "jobs" and names(jobs) == ["A.0"] and (error, held) == ("", [])


def crash(store, part, times, job="A.0"):
    for incarnation in range(1, times + 1):
        store.redis.zadd(part.queue(QUEUE), {job: 0})
        answer = store.run(part.claim(QUEUE, 1, incarnation, 1))
        assert names(answer[2]) == [job]
        assert store.run(part.reap(incarnation)) == 1


def test_one_crash_makes_no_suspect(store, part, fill):
    fill("A.0")
    crash(store, part, 1)
    jobs = Courier(store, 9).claim(QUEUE, suspects=0)
    assert names(jobs) == ["A.0"] and jobs[0][1][4] == "1"


def test_a_suspect_is_passed_over_by_a_courier_that_has_one(store, part, fill):
    fill("A.0")
    crash(store, part, 2)
    store.redis.zadd(part.queue(QUEUE), {"A.0": 0})
    fill("B.0")
    assert names(Courier(store, 9).claim(QUEUE, suspects=0)) == ["B.0"]
    assert store.place(part, "A.0", QUEUE) == "q"


def test_only_one_suspect_in_a_claim(store, part, fill):
    fill("A.0", "B.0", "C.0")
    for job in ("A.0", "B.0"):
        store.redis.hset(part.record(job), "x", 2)
    courier = Courier(store, 9)
    assert names(courier.claim(QUEUE, suspects=1)) == ["A.0", "C.0"]
    assert names(courier.claim(QUEUE, suspects=0)) == []
    assert names(courier.claim(QUEUE, suspects=1)) == ["B.0"]


def test_first_claim_of_a_fanout_parent_dates_it(store, part, fill):
    fill("M.0", queue="#fanout")
    courier = Courier(store, 1)
    ((_, fields),) = courier.claim("#fanout")
    dated = store.record(part, "M.0")["y"]
    assert fields[5] == dated and abs(int(dated) - store.now_ms()) < 5000
    store.redis.hset(part.record("M.0"), "y", 123)
    courier.settle(End("M.0", "#fanout", courier.token, "back"))
    ((_, fields),) = courier.claim("#fanout")
    assert fields[5] == "123"


def test_claim_of_another_queue_dates_nothing(store, part, fill):
    fill("A.0")
    Courier(store, 1).claim(QUEUE)
    assert "y" not in store.record(part, "A.0")


def test_claim_shows_what_the_operator_asked_for(store, part, fill):
    fill("A.0")
    store.run(part.order("bounce", "A.0", QUEUE))
    assert Courier(store, 1).claim(QUEUE)[0][1][3] == "bounce"


# proves: A10
def test_a_job_without_record_is_held_and_the_others_go_on(store, part, fill):
    fill("A.0", "B.0")
    store.redis.delete(part.record("A.0"))
    assert names(Courier(store, 1).claim(QUEUE)) == ["B.0"]
    assert store.place(part, "A.0", QUEUE) == "h"
    assert ("held", "A.0", "no record") in store.history(part)
    assert not store.redis.exists(part.record("A.0"))


def test_a_late_repeat_of_a_settled_claim_claims_anew(store, part, fill):
    """A request that comes when all is settled may take what waits now: its courier's comparison finds it."""
    fill("A.0", "B.0")
    courier = Courier(store, 1)
    courier.claim(QUEUE, 1)
    courier.settle(End("A.0", QUEUE, courier.token))
    assert names(courier.again(QUEUE, 1)[2]) == ["B.0"]


def test_what_a_late_claim_took_can_be_released(store, part, fill):
    fill("A.0")
    store.run(part.claim(QUEUE, 1, 1, 1))
    assert store.redis.zrangebyscore(part.claimed, 1, 1) == ["A.0"]
    token = store.record(part, "A.0")["k"]
    assert Courier(store, 1).settle(End("A.0", QUEUE, token, "back", event="released")) == ["ok"]
    assert store.place(part, "A.0", QUEUE) == "q"
