"""Tokens and slots: exact whoever asks, however often, whatever the clock does and whatever the keys hold."""

import pytest

from protocol import scripts
from protocol.calls import Slots, Tokens
from protocol.walk.limits import walk_slots, walk_tokens
from protocol.walk.world import Violation

SEEDS = range(1, 13)
HOSTILE = ["", "x", "-5.0 1", "1e300 1", "9" * 400 + ".0 1", "5.000000 99999999999999999", "nan 1", "inf 1", "1.0 -1",
           "1.0 1 1", "0x10.0 5", "5.0 9007199254740991", "\x00\xff"]


@pytest.fixture
def redis(server):
    with server.client(decode_responses=True) as client:
        yield client


def take(store, part, **asked):
    return store.run(part.limit(Tokens("x", **asked)))[0]


# proves: B34
@pytest.mark.parametrize("seed", SEEDS)
def test_tokens_are_never_more_than_burst_and_rate(redis, seed):
    assert walk_tokens(redis, seed, 400) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_are_never_more_than_the_limit(redis, seed):
    assert walk_slots(redis, seed, 400) > 0


PLANTS = [
    (walk_tokens, "gains while it is full", "limit",
     "gone = math.max(0, math.min(gone, burst) -", "gone = math.max(-burst, math.min(gone, burst) -"),
    (walk_tokens, "gains when the clock goes back", "limit", "math.max(0, now_us - at)", "math.abs(now_us - at)"),
    (walk_tokens, "grants what is not there", "limit", "granted = math.min(need, left)", "granted = need"),
    (walk_tokens, "forgets what it granted", "limit", "moved or granted > 0", "moved"),
    (walk_tokens, "grants wishes twice", "limit", "gone, left, moved = gone + granted,", "gone, left, moved = gone + math.min(need, granted),"),
    (walk_tokens, "rounds for the asker", "limit", "gone, now_us", "math.floor(gone), now_us"),
    (walk_tokens, "expires too early", "limit", "text(math.ceil(gone * per_ms / count))", "text(math.ceil(gone * per_ms / count / 2))"),
    (walk_tokens, "never expires", "limit", ', "PX", text(math.ceil(gone * per_ms / count))', ""),
    (walk_tokens, "loses time with every look", "limit", "local moved = now_us < at", "local moved = true\n  gone = math.ceil(gone)"),
    (walk_slots, "counts no others", "slot", "taken = taken + slots", "taken = taken"),
    (walk_slots, "counts the dead", "slot", "or ends <= now or", "or"),
    (walk_slots, "counts itself", "slot", "elseif fields[at] ~= node then", "else"),
]


@pytest.mark.parametrize("walk, name, script, old, new", PLANTS, ids=[plant[1].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(redis, walk, name, script, old, new):
    sources = scripts.planted(scripts.sources(), script, old, new)
    for seed in range(1, 40):
        try:
            walk(redis, seed, 400, sources)
        except Violation as violation:
            print(f"{name}: {violation}")
            return
    pytest.fail(f"no walk found: {name}")


# proves: B34
def test_a_bucket_gives_its_burst_exactly(store, part):
    assert [take(store, part, per_ms=3600000)[0] for _ in range(12)] == [1] * 10 + [0] * 2


def test_a_refusal_says_when_to_come_again(store, part):
    take(store, part, count=1, per_ms=60000, burst=3, need=3, least=3)
    granted, left, wait = take(store, part, count=1, per_ms=60000, burst=3, need=2, least=2)
    assert (granted, left) == (0, 0) and 119000 < wait <= 120000


def test_a_look_takes_nothing(store, part):
    assert take(store, part, need=0, least=1) == [0, 10, 0]
    assert store.dump() == {}
    take(store, part, count=1, per_ms=60000, need=10, least=10)
    before = store.dump()
    granted, left, wait = take(store, part, count=1, per_ms=60000, need=0, least=1)
    assert (granted, left) == (0, 0) and wait > 50000
    assert store.dump() == before


def test_a_slice_is_a_part_of_plenty_only(store, part):
    assert take(store, part, burst=1000, wish=500) == [1 + 999 // 16, 1000 - 1 - 999 // 16, 0]
    store.empty()
    assert take(store, part, per_ms=3600000, burst=16, wish=500)[0] == 1


def test_tokens_that_come_back_fill_the_bucket_and_no_more(store, part):
    take(store, part, per_ms=3600000, need=10)
    assert take(store, part, per_ms=3600000, back=4, need=5) == [4, 0, pytest.approx(360000, abs=2000)]
    assert take(store, part, per_ms=3600000, back=99, need=20)[0] == 10


def test_keys_expire_when_they_are_full(store, part):
    take(store, part, count=10, per_ms=60000, need=5)
    assert 29000 < store.redis.pttl(part.limit_key("x")) <= 30000


def test_another_rule_finds_what_is_gone(store, part):
    take(store, part, per_ms=3600000, burst=100, need=60)
    assert take(store, part, per_ms=3600000, burst=70, need=20)[0] == 10
    assert take(store, part, per_ms=3600000, burst=5, need=1)[0] == 0


def test_many_keys_in_one_call(store, part):
    asked = [Tokens(f"x{i}", need=i, least=i) for i in range(1, 15)]
    assert [answer[0] for answer in store.run(part.limit(*asked))] == [*range(1, 11), 0, 0, 0, 0]


# proves: M06
@pytest.mark.parametrize("value", HOSTILE)
def test_a_bucket_may_hold_anything(store, part, value):
    store.redis.set(part.limit_key("x"), value)
    granted, left, wait = take(store, part, need=2, least=1)
    assert 0 <= granted <= 2 and 0 <= left <= 10 and 0 <= wait <= 1000


# proves: M06
@pytest.mark.parametrize("make", [lambda r, k: r.hset(k, "a", "b"), lambda r, k: r.rpush(k, "a"),
                                  lambda r, k: r.zadd(k, {"a": 1}), lambda r, k: r.sadd(k, "a")])
def test_keys_of_another_type_are_replaced(store, part, make):
    make(store.redis, part.limit_key("x"))
    assert take(store, part, need=3)[0] == 3
    assert take(store, part, need=8)[0] == 7
    make(store.redis, part.slots_key("x"))
    assert store.run(part.slots("n", Slots("x", 5, 0, 3))) == [3]


# proves: M06
@pytest.mark.parametrize("value", HOSTILE + ["3 99999999999999", "99999999999999999999 5", "3 0"])
def test_slots_may_hold_anything(store, part, value):
    store.redis.hset(part.slots_key("x"), "other", value)
    assert store.run(part.slots("me", Slots("x", 5, 0, 3))) == [3]


# proves: M07
def test_keys_are_any_bytes(server, store, part):
    names = ["{1}", "a:b", "*", "'", "\r\n", "\x00", "x" * 500, "{", "}"]
    for name in names:
        assert store.run(part.limit(Tokens(name, per_ms=3600000, need=10)))[0][0] == 10
    for name in names:
        assert store.run(part.limit(Tokens(name, per_ms=3600000)))[0][0] == 0


def test_what_a_node_does_not_renew_is_free_again(store, part):
    assert store.run(part.slots("a", Slots("x", 5, 0, 5), ttl=50)) == [5]
    assert store.run(part.slots("b", Slots("x", 5, 0, 1), ttl=12000)) == [0]
    end = store.now_ms() + 60
    while store.now_ms() < end:
        pass
    assert store.run(part.slots("b", Slots("x", 5, 0, 1), ttl=12000)) == [1]


def test_slots_in_use_count_whatever_the_limit(store, part):
    assert store.run(part.slots("a", Slots("x", 2, 4, 6))) == [4]
    assert store.run(part.slots("b", Slots("x", 9, 0, 9))) == [5]


def test_the_last_slot_takes_the_key_away(store, part):
    store.run(part.slots("a", Slots("x", 2, 1, 2), Slots("y", 2, 0, 0)))
    store.run(part.slots("a", Slots("x", 2, 0, 0)))
    assert store.dump() == {}
