"""Reports about TLS: whoever counts, takes, stops and dies, there is one mail for each domain and day, with all that was counted before."""

import pytest
import redis as client

from protocol import scripts
from protocol.calls import TLSRPT_DUE, TLSRPT_OF, Partition, tlsrpt_count, tlsrpt_end, tlsrpt_take
from protocol.store import Store
from protocol.walk.reports import F, P, S, walk
from protocol.walk.world import Violation

SEEDS = range(1, 41)
NAME = "2026-11-22 one.test"
OF = TLSRPT_OF + NAME
D = "D" + "0" * 32 + "\n"


def count(store, seq=1, incarnation=1, rows=None, **more):
    return store.run(tlsrpt_count(incarnation, seq, [(NAME, 5, rows or {P: "none", S: 1})], **more))


def as_dict(flat):
    return dict(zip(flat[::2], flat[1::2]))


# proves: L14
@pytest.mark.parametrize("seed", SEEDS)
def test_any_interleaving_makes_one_mail_of_each_report(store, part, seed):
    assert walk(store, part, seed, 200) > 0


PLANTS = [
    ("a repeat counts again", "tlsrpt_count", '>= seq then', '>= 1e18 then'),
    ("counts go into a report that was taken", "tlsrpt_count", "is_taken == 0 and", ""),
    ("a report that is done can begin anew", "tlsrpt_end", 'redis.call("HSET", of, ".done", text(now))', 'redis.call("DEL", of)'),
    ("what is taken goes on counting", "tlsrpt_take", 'redis.call("HSETNX", of, ".taken", text(now))', ""),
    ("anybody ends it", "tlsrpt_end", "record[1] ~= token then", "not record[1] then"),
    ("a report that is given back is forgotten", "tlsrpt_end", 'redis.call("ZADD", due, text(now + tonumber(delay_ms)), name)', 'redis.call("ZREM", due, name)'),
    ("commit without the mark of ended jobs", "commit", 'if redis.call("EXISTS", seen, j) > 0 then', 'if redis.call("EXISTS", seen) > 0 then'),
]


@pytest.mark.parametrize("name, script, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(server, name, script, old, new):
    planted = Store(server.client(decode_responses=True))
    texts = scripts.assemble(scripts.planted(scripts.sources(), script, old, new))
    planted.hashes = {each: planted.redis.script_load(text) for each, text in texts.items()}
    with pytest.raises((Violation, client.exceptions.ResponseError)):
        for seed in SEEDS:
            planted.empty()
            walk(planted, Partition("0"), seed, 200)
    planted.empty()


# proves: L13
def test_counts_of_all_add_up(store):
    assert count(store, 1, 1, {P: "a policy", S: 2, F: 1, D + "x": 1}) == 0
    assert count(store, 1, 2, {P: "another text", S: 3}) == 0
    assert count(store, 2, 1, {P: "a policy", F: 1, D + "x": 1}) == 0
    assert store.redis.hgetall(OF) == {P: "a policy", S: "5", F: "2", D + "x": "2"}
    assert store.redis.zscore(TLSRPT_DUE, NAME) == 5 and 0 < store.redis.pttl(OF) <= 604800000


# proves: L13
def test_there_is_room_for_so_many_reports_and_rows(store):
    call = tlsrpt_count(1, 1, [(NAME, 5, {P: "p", S: 1, F: 2, D + "a": 1, D + "b": 1}), ("2026-11-22 two.test", 5, {P: "p", S: 7})], reports=1, rows=4)
    assert store.run(call) == 7
    assert store.redis.hgetall(OF) == {P: "p", S: "1", F: "2", D + "a": "1"} and store.redis.zcard(TLSRPT_DUE) == 1
    assert count(store, 2, rows={P: "p", S: 1, D + "b": 1, "S" + "1" * 32: 3}) == 3  # there is more room now, but that policy is not known
    assert store.redis.hget(OF, S) == "2"


# proves: L14
def test_only_one_has_it_until_its_time_is_over(store):
    count(store)
    taken = as_dict(store.run(tlsrpt_take(NAME, "1.1")))
    assert taken[S] == "1" and taken[".token"] == "1.1"
    assert store.run(tlsrpt_take(NAME, "2.1")) == "later"
    assert as_dict(store.run(tlsrpt_take(NAME, "1.1"))) == taken  # a repeat
    store.redis.zadd(TLSRPT_DUE, {NAME: 1}, xx=True)
    again = as_dict(store.run(tlsrpt_take(NAME, "2.1")))
    assert again == {**taken, ".token": "2.1"}
    assert store.run(tlsrpt_end(NAME, "1.1", "done")) == "stale"
    assert store.run(tlsrpt_end(NAME, "2.1", "done")) == "ok"
    assert store.run(tlsrpt_end(NAME, "2.1", "done")) == "stale"
    assert store.run(tlsrpt_take(NAME, "3.1")) == "gone"
    assert count(store, 2) == 1 and store.redis.zcard(TLSRPT_DUE) == 0


def test_what_is_given_back_remembers_where_it_was_sent(store):
    count(store)
    store.run(tlsrpt_take(NAME, "1.1"))
    assert store.run(tlsrpt_end(NAME, "1.1", "sent", "mail")) == "ok"
    assert store.run(tlsrpt_end(NAME, "1.1", "back", delay=0)) == "ok"
    taken = as_dict(store.run(tlsrpt_take(NAME, "2.1")))
    assert ".sent:mail" in taken and taken[".tries"] == "1"


# proves: M07
@pytest.mark.parametrize("key", [OF, TLSRPT_DUE])
def test_keys_of_another_type_harm_nobody_else(store, key):
    store.redis.set(key, "hostile")
    other = "2026-11-22 other.test"
    call = tlsrpt_count(1, 1, [(NAME, 5, {P: "p", S: 1}), (other, 5, {P: "p", S: 1})])
    if key == OF:
        assert store.run(call) == 1 and store.redis.hget(TLSRPT_OF + other, S) == "1"
        store.redis.zadd(TLSRPT_DUE, {NAME: 1})
        assert store.run(tlsrpt_take(NAME, "1.1")) == "gone" and store.run(tlsrpt_end(NAME, "1.1", "done")) == "stale"
    else:
        before = store.dump()
        with pytest.raises(client.exceptions.ResponseError):
            store.run(call)
        assert store.dump() == before


@pytest.mark.parametrize("value", ["", "x", "-1", "1e9", "9" * 30])
def test_a_row_that_is_no_number_is_left_alone(store, value):
    count(store)
    store.redis.hset(OF, S, value)
    assert count(store, 2) == 1
    assert store.redis.hget(OF, S) == value
