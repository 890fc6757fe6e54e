"""What the janitor's script mends, and all that it leaves alone."""

import pytest

from protocol.calls import End
from protocol.store import Courier

DAYS_MS = 7 * 86400000
QUEUE = "a.example"


def whole(store, part):
    """All keys of the partition at once, each as if nothing of its message lived."""
    keys = sorted(store.redis.keys(f"*:{{{part.tag}}}*"))
    return pairs(store.run(part.tidy(*keys, alone=keys)))


def pairs(answer):
    return list(zip(answer[::2], answer[1::2]))


def ttl(store, key):
    return store.redis.pttl(key)


@pytest.fixture
def lively(store, part):
    """One of each that lives: waiting, claimed, held, a parent with a child that reads it, marks, pause, limits."""
    from protocol.calls import Slots, Tokens
    store.run(part.commit("W.0", QUEUE, tenant="acme"))
    store.run(part.commit("H.0", QUEUE, ("one", "two"), tenant="acme"))
    store.run(part.order("hold", "H.0", QUEUE))
    store.run(part.commit("C.0", "c.example", tenant="two words: {x} 7"))
    assert Courier(store, 5).claim("c.example")
    store.run(part.commit("P.0", "#fanout", ("large", "larger"), w=1))
    store.run(part.commit("P.1", QUEUE, (), script="carry"))
    store.run(part.commit("E.0", "e.example"))
    other = Courier(store, 6)
    other.claim("e.example")
    other.settle(End("E.0", "e.example", other.token))
    store.run(part.pause("z.example", 1000))
    store.run(part.limit(Tokens("x", need=3)))
    store.run(part.slots("n1", Slots("y", 5, 0, 2)))
    store.run(part.chunk("NEW.0", 0, "streamed"))
    store.run(part.acquire("7"))
    return store


# proves: A11 A12
def test_what_lives_is_left_alone(lively, part):
    before = lively.dump()
    assert whole(lively, part) == []
    assert lively.dump() == before


def test_keys_that_are_gone_are_nothing(store, part):
    assert store.run(part.tidy(part.record("X.0"), part.chunk_key("X.0", 0), part.queue("x"), part.seen("X.0"), part.tenants(),
                               part.pause_state("x"), part.never, "strange:{0}:key", "b:{0}:odd")) == []
    assert not store.redis.keys()


def test_content_of_a_child_without_a_job_ends_in_days(store, part):
    store.redis.set(part.chunk_key("X.3", 0), "content")
    assert whole(store, part) == [("orphan", part.chunk_key("X.3", 0))]
    assert DAYS_MS - 60000 < ttl(store, part.chunk_key("X.3", 0)) <= DAYS_MS
    assert whole(store, part) == []


def test_a_key_that_was_met_twice_is_looked_at_once(store, part):
    key = part.chunk_key("X.3", 0)
    store.redis.set(key, "content")
    assert pairs(store.run(part.tidy(key, key))) == [("orphan", key)]


def test_content_of_a_message_is_left_alone_until_none_of_its_jobs_was_seen(store, part):
    key = part.chunk_key("X.0", 0)
    store.redis.set(key, "content")
    assert pairs(store.run(part.tidy(key))) == [("unowned", key)] and ttl(store, key) == -1
    assert pairs(store.run(part.tidy(key, alone=[key]))) == [("orphan", key)] and ttl(store, key) > 0


def test_content_that_was_on_its_way_out_stays_when_its_job_comes(store, part):
    key = part.chunk_key("X.1", 0)
    store.redis.set(key, "content")
    whole(store, part)
    assert store.run(part.commit("X.1", QUEUE)) == "new" and ttl(store, key) == -1


def test_content_of_a_living_job_has_no_time_limit(store, part):
    store.run(part.commit("X.0", QUEUE, ("one", "two")))
    store.redis.expire(part.chunk_key("X.0", 1), 600)
    assert whole(store, part) == [("limited", part.chunk_key("X.0", 1))]
    assert ttl(store, part.chunk_key("X.0", 1)) == -1


def test_a_job_in_no_index_is_held(store, part):
    store.run(part.commit("X.0", QUEUE))
    store.redis.delete(part.queue(QUEUE))
    assert whole(store, part) == [("lost", part.record("X.0"))]
    assert store.place(part, "X.0", QUEUE) == "h" and store.record(part, "X.0")["h"] == "was in no queue"
    assert ("held", "X.0", "was in no queue") in store.history(part)
    assert whole(store, part) == []
    store.run(part.order("unhold", "X.0", QUEUE))
    assert Courier(store, 1).claim(QUEUE)


def test_a_claimed_job_that_left_its_index_is_held_without_its_token(store, part):
    store.run(part.commit("X.0", QUEUE))
    courier = Courier(store, 1)
    courier.claim(QUEUE)
    store.redis.delete(part.claimed)
    assert whole(store, part) == [("lost", part.record("X.0"))]
    assert courier.settle(End("X.0", QUEUE, courier.token)) == ["stale"] and store.place(part, "X.0", QUEUE) == "h"


@pytest.mark.parametrize("record", ["wrong type", "no queue"])
def test_a_record_that_cannot_be_read_is_held(store, part, record):
    if record == "no queue":
        store.redis.hset(part.record("X.0"), "e", "envelope")
    else:
        store.redis.set(part.record("X.0"), "what?")
    assert whole(store, part) == [("lost", part.record("X.0"))]
    assert store.place(part, "X.0", QUEUE) == "h" and whole(store, part) == []


def test_a_job_in_another_queue_than_its_record_says(store, part):
    store.run(part.commit("X.0", QUEUE))
    store.redis.hset(part.record("X.0"), "q", "b.example")
    assert whole(store, part) == [("astray", part.record("X.0"))]
    assert store.record(part, "X.0")["q"] == QUEUE and store.place(part, "X.0", QUEUE) == "q"


@pytest.mark.parametrize("places, stays", [("qc", "c"), ("qh", "h"), ("ch", "c"), ("qch", "c")])
def test_a_job_in_two_places_stays_in_one(store, part, places, stays):
    store.run(part.commit("X.0", QUEUE))
    if "q" not in places:
        store.redis.zrem(part.queue(QUEUE), "X.0")
    if "c" in places:
        store.redis.zadd(part.claimed, {"X.0": 1})
        store.redis.hset(part.record("X.0"), "k", "1.1")
    if "h" in places:
        store.redis.zadd(part.held, {"X.0": 1})
    assert whole(store, part) == [("twice", part.record("X.0"))]
    assert store.place(part, "X.0", QUEUE) == stays
    assert ("k" in store.record(part, "X.0")) == (stays == "c")


def test_a_queue_that_nobody_looks_at_is_looked_at(store, part):
    store.run(part.commit("X.0", QUEUE))
    store.redis.delete(part.due_index)
    assert store.run(part.due())[0] == []
    assert whole(store, part) == [("forgotten", part.queue(QUEUE))]
    assert [queue for queue, *_ in store.run(part.due())[0]] == [QUEUE]


def test_a_queue_that_cannot_be_read_is_told_of(store, part):
    store.redis.set(part.queue(QUEUE), "what?")
    assert whole(store, part) == [("unreadable", part.queue(QUEUE))] and store.redis.get(part.queue(QUEUE)) == "what?"


def test_what_tenants_have_is_counted_anew(lively, part):
    right = lively.redis.hgetall(part.tenants())
    assert right
    lively.redis.hset(part.tenants(), mapping={"m:acme": 900, "b:acme": "x", "m:gone": 3, "b:gone": 7})
    assert whole(lively, part) == [("miscounted", part.tenants())]
    assert lively.redis.hgetall(part.tenants()) == right
    lively.redis.hdel(part.tenants(), "m:acme", "b:acme")
    assert whole(lively, part) == [("miscounted", part.tenants())] and lively.redis.hgetall(part.tenants()) == right


def test_many_jobs_are_not_counted_at_once(lively, part):
    lively.redis.hset(part.tenants(), "m:acme", 900)
    assert lively.run(part.tidy(part.tenants(), jobs=3)) == []
    assert lively.redis.hget(part.tenants(), "m:acme") == "900"


def test_marks_pauses_and_limits_get_their_time_limit_back(lively, part):
    keys = [part.pause_state("z.example"), part.limit_key("x"), part.slots_key("y")]
    lively.redis.set(part.seen("old.0"), "digest")
    for key in keys:
        assert lively.redis.persist(key)
    found = whole(lively, part)
    assert sorted(found) == sorted(("endless", key) for key in [*keys, part.seen("old.0")])
    assert all(ttl(lively, key) > 0 for _, key in found) and whole(lively, part) == []


def test_never_is_never_there(store, part):
    store.redis.set(part.never, "x")
    assert whole(store, part) == [("never", part.never)] and not store.redis.exists(part.never)


@pytest.mark.parametrize("index", ["claimed", "held", "due_index"])
def test_an_index_of_the_wrong_type_fails_the_call_before_it_writes(lively, part, index):
    import redis
    lively.redis.set(part.chunk_key("X.1", 0), "content")
    lively.redis.delete(getattr(part, index))
    lively.redis.set(getattr(part, index), "what?")
    with pytest.raises(redis.exceptions.ResponseError):
        whole(lively, part)
    assert ttl(lively, part.chunk_key("X.1", 0)) == -1
