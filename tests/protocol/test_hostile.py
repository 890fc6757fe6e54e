"""Keys may hold anything: a job that cannot be read is held, and nothing else suffers. (An index of the wrong
type fails its calls, before they write anything.)"""

import pytest
import redis

from protocol import calls
from protocol.calls import End, NODES, Report, reaped
from protocol.store import Courier

BAD, GOOD, QUEUE = "BAD.0", "GOOD.0", "example.com"
ABSURD = ["", "-1", "nan", "inf", "1e400", "0x10", "999999999999999999999", "\0", "1 2", "none"]


@pytest.fixture
def two(store, part):
    for job in (BAD, GOOD):
        store.run(part.commit(job, QUEUE))


def wrong_type(store, key):
    store.redis.delete(key)
    store.redis.rpush(key, "hostile")


def spoil(store, part, how):
    key = part.record(BAD)
    if how == "type":
        wrong_type(store, key)
    elif how.startswith("no "):
        store.redis.hdel(key, how[3:])
    else:
        field, value = how.split("=", 1)
        store.redis.hset(key, field, value)


RECORDS = (["type", "no e", "no s", "no n", "no u"] + ["n=" + value for value in ABSURD] + ["n=5000"]
           + ["x=" + value for value in ABSURD])


# proves: A10 M06
@pytest.mark.parametrize("how", RECORDS)
def test_claim_holds_what_cannot_be_read_and_gives_the_rest(store, part, two, how):
    spoil(store, part, how)
    assert [job for job, _ in Courier(store, 1).claim(QUEUE)] == [GOOD]
    assert store.place(part, BAD, QUEUE) == "h" and store.place(part, GOOD, QUEUE) == "c"
    assert ("held", BAD, "record unreadable") in store.history(part)


@pytest.mark.parametrize("how", RECORDS)
def test_what_is_held_so_can_be_deleted(store, part, two, how):
    spoil(store, part, how)
    Courier(store, 1).claim(QUEUE)
    assert store.run(part.delete(BAD, QUEUE)) == "deleted"
    assert store.place(part, BAD, QUEUE) == "" and not store.redis.exists(part.record(BAD))
    if how != "type":
        assert not store.redis.exists(part.chunk_key(BAD, 0))


@pytest.mark.parametrize("how", ["type", "no q", "no k"] + ["x=" + value for value in ABSURD])
def test_reap_brings_back_the_rest(store, part, two, how):
    Courier(store, 1).claim(QUEUE)
    spoil(store, part, how)
    assert reaped(store.run(part.reap(1))) == 2
    assert store.place(part, GOOD, QUEUE) == "q" and store.redis.zcard(part.claimed) == 0
    assert store.place(part, BAD, QUEUE) == ("q" if how == "no k" else "h")


def test_reap_holds_a_job_whose_queue_is_of_the_wrong_type(store, part, two):
    Courier(store, 1).claim(QUEUE)
    store.redis.hset(part.record(BAD), "q", "broken.example")
    wrong_type(store, part.queue("broken.example"))
    assert reaped(store.run(part.reap(1))) == 2
    assert store.redis.zscore(part.held, BAD) and store.place(part, GOOD, QUEUE) == "q"


@pytest.mark.parametrize(
    "how", ["type", "no k", "no m", "no u", "m=nan", "m=-5", "m=" + "9" * 16, "f=nonsense", "w=x"])
@pytest.mark.parametrize("outcome", ["end", "back", "hold", "keep"])
def test_settle_answers_for_the_rest(store, part, two, how, outcome):
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    spoil(store, part, how)
    ends = [End(job, QUEUE, courier.token, outcome, state="s", next="1.9") for job in (BAD, GOOD)]
    assert courier.settle(*ends) == ["stale" if how in ("type", "no k") else "ok", "ok"]
    assert store.place(part, GOOD, QUEUE) == {"end": "", "back": "q", "hold": "h", "keep": "c"}[outcome]


@pytest.mark.parametrize("outcome", ["back", "hold"])
def test_settle_does_what_the_courier_wants_under_an_unknown_fate(store, part, two, outcome):
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    store.redis.hset(part.record(BAD), "f", "nonsense")
    courier.settle(End(BAD, QUEUE, courier.token, outcome, 60000))
    assert store.place(part, BAD, QUEUE) == ("q" if outcome == "back" else "h")


def test_settle_with_a_report_over_a_hostile_key_writes_nothing(store, part, two):
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    done = End(GOOD, QUEUE, courier.token, report=Report("D.0", "u", "content"))
    wrong_type(store, part.record("D.0"))
    assert courier.settle(done) == ["incomplete"]
    store.redis.delete(part.record("D.0"))
    wrong_type(store, part.chunk_key("D.0", 0))
    assert courier.settle(done) == ["incomplete"]
    assert store.place(part, GOOD, QUEUE) == "c"


@pytest.mark.parametrize("order", ["hold", "unhold", "retry", "bounce"])
def test_orders_for_a_record_of_the_wrong_type_are_gone(store, part, two, order):
    wrong_type(store, part.record(BAD))
    before = store.redis.zrange(part.queue(QUEUE), 0, -1)
    assert store.run(part.order(order, BAD, QUEUE)) == "gone"
    assert store.redis.zrange(part.queue(QUEUE), 0, -1) == before


@pytest.mark.parametrize("key", ["record", "seen"])
def test_commit_over_a_hostile_key_is_clash(store, part, key):
    wrong_type(store, part.record(BAD) if key == "record" else part.seen(BAD))
    assert store.run(part.commit(BAD, QUEUE)) == "clash"
    assert store.place(part, BAD, QUEUE) == ""


def test_commit_with_a_hostile_chunk_is_incomplete(store, part):
    wrong_type(store, part.chunk_key(BAD, 0))
    assert store.run(part.commit(BAD, QUEUE)) == "incomplete"


def test_delete_with_a_hostile_count_of_chunks_ends(store, part, two):
    store.redis.hset(part.record(BAD), "n", "4000000000000000")
    assert store.run(part.delete(BAD, QUEUE)) == "deleted"


@pytest.mark.parametrize("call", ["commit", "claim", "settle", "reap", "hold", "unhold", "delete"])
@pytest.mark.parametrize("index", ["q", "c", "h", "d"])
def test_an_index_of_the_wrong_type_fails_the_call_before_it_writes(store, part, two, index, call):
    keys = {"q": part.queue(QUEUE), "c": part.claimed, "h": part.held, "d": part.due_index}
    courier = Courier(store, 1)
    if call in ("settle", "reap"):
        courier.claim(QUEUE)
    if call == "unhold":
        store.run(part.order("hold", BAD, QUEUE))
    if call == "claim":
        store.redis.delete(part.record(BAD))  # so that it wants to write h too
    wrong_type(store, keys[index])
    before = [store.record(part, GOOD), store.record(part, BAD), indexes(store, keys)]
    made = {
        "commit": lambda: part.commit("NEW.0", QUEUE),
        "claim": lambda: part.claim(QUEUE, 5, 1, 1),
        "settle": lambda: part.settle(
            End(GOOD, QUEUE, courier.token, "back"), End(BAD, QUEUE, courier.token, "hold")),
        "reap": lambda: part.reap(1), "hold": lambda: part.order("hold", BAD, QUEUE),
        "unhold": lambda: part.order("unhold", BAD, QUEUE), "delete": lambda: part.delete(BAD, QUEUE)}[call]()
    try:
        answer = store.run(made)
    except redis.exceptions.ResponseError as error:
        assert "WRONGTYPE" in str(error)
        after = [store.record(part, GOOD), store.record(part, BAD), indexes(store, keys)]
        if call == "commit" and index == "q":
            # The queue may be known to d, which is harmless; the job does not exist.
            after[2].pop("d"), before[2].pop("d")
        assert after == before
        assert not store.redis.exists(part.record("NEW.0"))
    else:
        does_without = {("commit", "c"), ("commit", "h"), ("claim", "d"), ("hold", "d"), ("reap", "q")}
        assert (call, index) in does_without, answer


def indexes(store, keys):
    return {name: store.redis.zrange(key, 0, -1, withscores=True) for name, key in keys.items()
            if store.redis.type(key) != "list"}


def test_history_of_the_wrong_type_stops_no_mail(store, part):
    wrong_type(store, part.events)
    assert store.run(part.commit(GOOD, QUEUE)) == "new"
    courier = Courier(store, 1)
    assert courier.claim(QUEUE)
    assert courier.settle(End(GOOD, QUEUE, courier.token)) == ["ok"]


@pytest.mark.parametrize("value", ABSURD)
def test_a_pause_that_cannot_be_read_is_none(store, part, two, value):
    store.redis.hset(part.pause_state(QUEUE), "until", value)
    assert len(store.run(part.due())[0]) == 1
    assert len(Courier(store, 1).claim(QUEUE)) == 2


def test_a_pause_of_the_wrong_type_is_none(store, part, two):
    wrong_type(store, part.pause_state(QUEUE))
    assert len(store.run(part.due())[0]) == 1
    assert len(Courier(store, 1).claim(QUEUE)) == 2
    assert store.run(part.pause(QUEUE, 0)) == "ok"


def test_due_passes_a_queue_of_the_wrong_type(store, part, two):
    store.redis.zadd(part.due_index, {"broken.example": 1})
    wrong_type(store, part.queue("broken.example"))
    assert store.run(part.due(n=1))[0] == []
    assert [queue for queue, *_ in store.run(part.due(n=1))[0]] == [QUEUE]


def test_due_stands_endless_scores(store, part, two):
    store.redis.zadd(part.queue("odd.example"), {"x.0": float("inf")})
    store.redis.zadd(part.due_index, {"odd.example": 1})
    assert [queue for queue, *_ in store.run(part.due())[0]] == [QUEUE]


@pytest.mark.parametrize("value", ABSURD)
def test_a_lease_that_cannot_be_read_is_taken_over(store, part, value):
    store.redis.hset(part.lease, mapping={"owner": "7", "token": value, "until": value})
    token = store.run(part.acquire("8"))
    assert len(token) == 16 and store.redis.hget(part.lease, "owner") == "8"


def test_a_lease_of_the_wrong_type_is_replaced(store, part):
    wrong_type(store, part.lease)
    assert store.run(part.keep("8", 1)) == "lost" and store.run(part.give_up("8", 1)) == "ok"
    token = store.run(part.acquire("8"))
    assert store.run(part.keep("8", token)) == "ok"


@pytest.mark.parametrize("value", ABSURD)
def test_a_beat_that_cannot_be_read_is_overwritten_or_buried(store, value):
    one = store.run(calls.join())
    store.redis.hset(NODES, one, value)
    digits = ""
    for char in value:
        if not char.isdigit():
            break
        digits += char
    assert store.run(calls.bury(one, "77")) == "alive"
    assert store.run(calls.beat(one, 5)) == "ok"
    store.redis.hset(NODES, one, value)
    assert store.run(calls.bury(one, digits)) == "dead"


@pytest.mark.parametrize("value", ABSURD)
def test_a_last_that_cannot_be_read_starts_from_the_clock(store, value):
    store.redis.hset(NODES, "last", value)
    assert abs(int(store.run(calls.join())) // 1000 - store.now_ms()) < 5000


def test_ids_and_queues_are_only_bytes(store, part):
    job, queue = "a{}:*'\r\n\0%s.0", "q{x}:\"\0*\n"
    store.run(part.commit(job, queue, detail="\0\r\n"))
    courier = Courier(store, 1)
    assert [name for name, _ in courier.claim(queue)] == [job]
    assert courier.settle(End(job, queue, courier.token, "back")) == ["ok"]
    assert store.place(part, job, queue) == "q"
