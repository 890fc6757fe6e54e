"""The tests of who is asked for the store, of the rules, and of limits find what they are there for: each guard is taken away once."""

import pytest
from harness import planted

PLANTS = [
    ("a Sentinel that is behind is followed", "tests/unit/cluster/test_shard a_sentinel_that_is_behind_is_not_followed", "lib/cluster/finder.c", "} else if (epoch < f->epoch) {",
     "} else if (epoch == UINT64_MAX) {"),
    ("one replica is as good as all that follow", "tests/unit/cluster/test_shard a_replica_that_follows_no_more_is_left_behind_in_time", "lib/cluster/store_probe.c",
     "larger(ss->store->replicas, larger(followers, successors))", "larger(ss->store->replicas, 0 * larger(followers, successors))"),
    ("a replica is left behind at once", "tests/unit/cluster/test_shard a_replica_that_follows_no_more_is_left_behind_in_time", "lib/cluster/store_probe.c",
     "ss->followers_ms + (misses_one ? SUCCESSOR_KEPT_MS : FOLLOWER_KEPT_MS)", "ss->followers_ms + (misses_one ? 0 : 0)"),
    ("who may be promoted is left behind as anybody", "tests/unit/cluster/test_shard who_may_be_promoted_is_waited_for_longer", "lib/cluster/store_probe.c",
     "(misses_one ? SUCCESSOR_KEPT_MS : FOLLOWER_KEPT_MS)", "FOLLOWER_KEPT_MS"),
    ("a stream that begins anew is the same", "tests/unit/cluster/test_shard who_may_be_promoted_is_waited_for_longer", "lib/cluster/store_probe.c",
     "|| span_equal(id, span_of(ss->history)))", "|| *ss->history)"),
    ("Redis is shown the former certificate", "tests/unit/io/test_access", "lib/cluster/access.c", "if (!a->tls || !tls_client_files_changed(a->tls))", "if (!a->tls || a->tls)"),
    ("what travels apart has no rules", "tests/unit/cluster/test_rule", "lib/cluster/rule_walk.c", "if (queue_apart(span_of(queue)).len > 0) {", "if (!queue) {"),
    ("rules come in any order", "tests/unit/cluster/test_rule", "lib/cluster/rule_walk.c", "at(w, i)->number < first->number", "at(w, i)->number > first->number"),
    ("an overshoot is forgotten", "tests/unit/dispatcher/test_schedule", "dispatcher/report.c", "    *worst = used - limit;\n", "    *worst = 0;\n"),
]


@pytest.mark.parametrize("name, unit, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_a_guard_that_is_gone_is_missed(name, unit, source, old, new):
    unit, *only = unit.split()
    assert planted.is_found_by(unit, name, source, old, new, *only)
