"""Cluster-wide tables: one field is written or taken out, and the table's version is another one."""

import pytest
import redis

from protocol import calls
from protocol.calls import CHANGED, table

ALIASES = "barid:{c}:aliases"
# proves: M07
HOSTILE = ["{a}@b.example", "a:b@c.example", "*@example.com", "it's@example.com", "a\r\nDEL x\r\n@example.com",
           "nul\0nul@example.com", "\"a b\"@example.com", "%s%n@example.com", "barid:{c}:meta", "u" * 65536,
           "\\u0000", "ARGV[1]", "\xff\xfe", "-1", "0", "nil", "false"]


def version(store, name="aliases"):
    return store.redis.hget(CHANGED, name)


def test_a_put_is_there_and_grows_the_version(store):
    before = store.now_ms()
    assert store.run(table("aliases", "put", "a@x", "b@y")) == "ok"
    assert store.redis.hgetall(ALIASES) == {"a@x": "b@y"}
    first = int(version(store))
    assert first >= before * 1000
    assert store.run(table("aliases", "put", "a@x", "c@y")) == "ok"
    assert int(version(store)) > first
    assert store.redis.hget(ALIASES, "a@x") == "c@y"


def test_versions_grow_though_the_clock_went_back(store):
    store.redis.hset(CHANGED, "aliases", "8000000000000000")
    store.run(table("aliases", "put", "a@x", "b@y"))
    assert version(store) == "8000000000000001"


def test_only_the_version_of_that_table_grows(store):
    store.run(table("users", "put", "u", "record"))
    assert store.redis.hkeys(CHANGED) == ["users"]


def test_a_repeated_put_changes_nothing(store):
    call = table("aliases", "put", "a@x", "b@y", "none")
    assert store.run(call) == "ok"
    first = version(store)
    assert store.run(call) == "ok"
    assert version(store) == first


def test_a_repeated_put_that_expects_changes_nothing(store):
    store.run(table("aliases", "put", "a@x", "old"))
    call = table("aliases", "put", "a@x", "new", "is", "old")
    assert store.run(call) == "ok"
    first = version(store)
    assert store.run(call) == "ok" and version(store) == first


def test_what_must_not_exist_is_not_overwritten(store):
    store.run(table("aliases", "put", "a@x", "old"))
    before = store.dump()
    assert store.run(table("aliases", "put", "a@x", "new", "none")) == "exists"
    assert store.dump() == before


@pytest.mark.parametrize("act", ["put", "remove"])
def test_what_has_changed_meanwhile_is_left(store, act):
    store.run(table("aliases", "put", "a@x", "now"))
    before = store.dump()
    assert store.run(table("aliases", act, "a@x", "new", "is", "then")) == "changed"
    assert store.dump() == before


def test_what_is_gone_meanwhile_is_not_made_anew(store):
    assert store.run(table("aliases", "put", "a@x", "new", "is", "then")) == "changed"
    assert store.dump() == {}


def test_a_removed_field_is_gone_and_grows_the_version(store):
    store.run(table("aliases", "put", "a@x", "b@y"))
    first = int(version(store))
    assert store.run(table("aliases", "remove", "a@x")) == "ok"
    assert int(version(store)) > first and not store.redis.exists(ALIASES)


def test_a_removal_repeated_says_none_and_changes_nothing(store):
    store.run(table("aliases", "put", "a@x", "b@y"))
    store.run(table("aliases", "remove", "a@x"))
    before = store.dump()
    assert store.run(table("aliases", "remove", "a@x")) == "none"
    assert store.dump() == before


def test_a_removal_can_expect(store):
    store.run(table("aliases", "put", "a@x", "b@y"))
    assert store.run(table("aliases", "remove", "a@x", "", "is", "b@y")) == "ok"


# proves: M07
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_bytes_are_only_their_own_field(store, text):
    store.redis.hset("barid:{c}:meta", "schema", "1")
    store.run(table("aliases", "put", "other", "kept"))
    assert store.run(table("aliases", "put", text, text)) == "ok"
    assert store.redis.hgetall(ALIASES) == {"other": "kept", text: text}
    assert store.run(table("aliases", "put", text, "x", "none")) == "exists"
    assert store.run(table("aliases", "put", text, "x", "is", text)) == "ok"
    assert store.run(table("aliases", "remove", text, "", "is", "x")) == "ok"
    assert store.redis.hgetall(ALIASES) == {"other": "kept"}
    assert sorted(store.redis.keys()) == ["barid:{c}:aliases", "barid:{c}:changed", "barid:{c}:meta"]


# proves: M06
@pytest.mark.parametrize("garbage", ["", "-1", "nan", "1e400", "999999999999999999999", "\0", "x"])
def test_a_version_that_is_no_number_is_one_again(store, garbage):
    store.redis.hset(CHANGED, "aliases", garbage)
    assert store.run(table("aliases", "put", "a@x", "b@y")) == "ok"
    assert int(version(store)) >= store.now_ms() * 1000 - 60000000


@pytest.mark.parametrize("key", [ALIASES, CHANGED])
def test_a_key_of_another_type_fails_before_anything_is_written(store, key):
    store.redis.rpush(key, "hostile")
    before = store.redis.lrange(key, 0, -1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.run(table("aliases", "put", "a@x", "b@y"))
    assert store.redis.lrange(key, 0, -1) == before and len(store.redis.keys()) == 1


def test_a_full_redis_takes_what_the_operator_says(server, store):
    store.run(calls.join())
    try:
        store.redis.config_set("maxmemory", "1mb")
        assert store.run(table("users", "put", "u", "disabled")) == "ok"
    finally:
        store.redis.config_set("maxmemory", "0")
