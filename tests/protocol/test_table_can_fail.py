"""Bugs planted in the script of the tables, each of which a test of it must find."""

import pytest

from protocol import scripts, test_table
from protocol.store import Store

PLANTS = [
    ("a repeat grows the version", 'if act == "put" and held == value then', "if false then", test_table.test_a_repeated_put_changes_nothing),
    ("a repeat finds its own value changed", 'if act == "put" and held == value then', "if false then", test_table.test_a_repeated_put_that_expects_changes_nothing),
    ("what is there is overwritten", 'expectation == "none" and held', "false", test_table.test_what_must_not_exist_is_not_overwritten),
    ("what is gone is made anew", 'expectation == "is" and held ~= expected', 'expectation == "is" and held and held ~= expected',
     test_table.test_what_is_gone_meanwhile_is_not_made_anew),
    ("the clock alone", "math.max((number(version) or 0) + 1, now_us)", "now_us", test_table.test_versions_grow_though_the_clock_went_back),
    ("the version is written without a look at it", 'local version = redis.call("HGET", versions, name)', "local version = nil",
     lambda store: test_table.test_a_key_of_another_type_fails_before_anything_is_written(store, test_table.CHANGED)),
]


@pytest.mark.parametrize("name, old, new, finds", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_is_found(server, loaded, name, old, new, finds):
    planted = Store(server.client(decode_responses=True))
    planted.hashes["table"] = planted.redis.script_load(scripts.assemble(scripts.planted(scripts.sources(), "table", old, new))["table"])
    planted.empty()
    finds(loaded)
    planted.empty()
    with pytest.raises(AssertionError):
        finds(planted)
    planted.empty()
