"""The models speak of the code as it is: names that the README maps them to exist, and their numbers are the code's."""

import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def rows():
    """(what, [(file, names)], test) of the README's second table."""
    table = text_of("tests/model/README.md").split("## What stands for what")[1].split("\n## ")[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.search(r"`[a-z]+/", cells[1]):
            continue
        places = re.findall(r"`([\w/.]+\.\w+)`((?: \w+)*)", cells[1])
        yield cells[0], [(path, names.split()) for path, names in places], re.findall(r"`(tests/[\w/.]+)`", cells[2])


ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row[0]).strip("-"))
def test_what_a_model_names_is_there(row):
    what, places, tests = row
    assert places and tests, what
    for path, names in places:
        source = text_of(path)
        for name in names:
            assert re.search(rf"\b{name}\b", source), f"{path} has no {name} any more"
    for path in tests:
        assert os.path.exists(os.path.join(ROOT, path)), path


def test_the_table_is_whole():
    scripts = set(re.findall(r"lua/(\w+)\.lua", text_of("tests/model/README.md")))
    assert {"beat", "join", "bury", "reap", "claim", "settle", "commit", "delete", "acquire", "keep", "yield", "due"} <= scripts
    assert len(ROWS) > 20


def number(path, name):
    """A constant of the code, in ms."""
    found = re.search(rf"\b{name}\b\s*=\s*(\d+)\b", text_of(path))
    assert found, f"{path}: {name}"
    return int(found[1])


def defined(model, name):
    """A number that a model begins with; the first definition is the one in force."""
    values = re.findall(rf"#define {name}\s+(\d+)", text_of(f"tests/model/{model}.pml"))
    assert values, f"{model}: {name}"
    return [int(value) for value in values]


def test_spans_of_dot_are_the_codes():
    model = text_of("tests/model/dot.pml")
    for name, path, constant in (("DOT_TICKS", "lib/cluster/node.c", "DOT_AGE_MS"), ("DEAD_TICKS", "dispatcher/nodes.h", "NODES_DEAD_MS"),
                                 ("GAP_TICKS", "dispatcher/nodes.h", "NODES_GAP_MS")):
        assert f"#define {name} ({number(path, constant)} / TICK_MS)" in model, constant
    # A beat that is answered late must not be too late for the next dot; looks come often enough for the gap.
    assert number("lib/cluster/node.c", "BEAT_EVERY_MS") + number("lib/cluster/node.c", "BEAT_TIME_MS") < number("lib/cluster/node.c", "DOT_AGE_MS")
    assert number("dispatcher/main.c", "VIEW_EVERY_MS") * 3 <= number("dispatcher/nodes.h", "NODES_GAP_MS")
    assert number("dispatcher/nodes.h", "NODES_CUT_OFF_MS") > number("dispatcher/nodes.h", "NODES_DEAD_MS")


def test_spans_of_lease_are_the_codes():
    lease_ms = number("lib/cluster/lua/acquire.lua", "LEASE_MS")
    assert lease_ms == number("lib/cluster/lua/keep.lua", "LEASE_MS") == defined("lease", "LEASE")[0] * 1000
    use_ms, alone_ms = number("dispatcher/partition.h", "LEASE_USE_MS"), number("dispatcher/partition.h", "LEASE_ALONE_MS")
    assert (defined("lease", "USE")[0] - 1) * 1000 == use_ms        # a closed end: the tick at its end is still usable
    assert defined("lease", "ALONE")[0] * 1000 == alone_ms
    grant_ms = number("courier/grant.c", "GRANT_MS")
    assert defined("lease", "GRANT")[0] * 1000 == grant_ms == number("dispatcher/share.h", "SHARE_MS")
    assert number("dispatcher/partition.h", "LEASE_KEEP_MS") * 2 <= use_ms


def test_spans_of_handover_are_the_codes():
    tick_ms = 200
    assert defined("handover", "HELLO")[0] * tick_ms == number("courier/grant.c", "HELLO_MS")
    assert max(defined("handover", "SETTLE")) * tick_ms == number("dispatcher/partition.h", "LEASE_SETTLE_MS")
    assert max(defined("handover", "MARGIN")) * tick_ms == number("dispatcher/partition.h", "LEASE_EXPIRED_MS")
    expired = defined("handover", "EXPIRED_AFTER")[0] * tick_ms
    assert expired == number("lib/cluster/lua/acquire.lua", "LEASE_MS") - number("dispatcher/partition.h", "LEASE_USE_MS")


def test_a_replica_is_counted_until_every_figure_is_newer():
    """promote.pml: `waits`. A Sentinel looks at replicas each 10 s; a primary is looked at each second, and that is a write."""
    look_ms = number("lib/cluster/store_probe.c", "PROBE_EVERY_MS")
    assert number("lib/cluster/store_probe.c", "SUCCESSOR_KEPT_MS") >= 10000 + 2 * look_ms


def test_marks_outlive_what_they_are_for():
    """accept.pml: a request is executed before the marks of its message end, or never. fanout.pml: the same for children."""
    most_s = re.search(r'CONF\(store, commit_time, TIME, "\d+s", "\d+s", "(\d+)s"', text_of("lib/base/conf.def"))
    assert number("ingress/submit.c", "MARK_MS") > int(most_s[1]) * 1000 + number("ingress/submit.c", "REVOKE_MS")
    spool = number("lib/cluster/spool.h", "SPOOL_TTL_S")
    assert spool > int(most_s[1])
    fanout = text_of("courier/fanout_child.c") + text_of("courier/fanout.c")
    hours = [int(hour) for hour in re.findall(r"#define (?:MARK_MS|INEXACT_MAX_MS) \((\d+)ull \* 3600 \* 1000\)", fanout)]
    assert len(hours) == 2 and hours[0] > hours[1]
