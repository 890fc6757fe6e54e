"""A bug planted in what keeps limits is found by the dispatcher's random walk (tests/unit/dispatcher/test_limit_walk.c): it is able to fail."""

import pytest
from harness import planted

PLANTS = [
    ("less counts at once", "dispatcher/share.c", "    if (s->most < connections)\n", "    if (s->most != connections)\n"),
    ("any report knows the last grant", "dispatcher/report.c", "r->serial == share->serial;", "true;"),
    ("what is in use is not counted", "dispatcher/share.c", "    if (s->most < used)\n        s->most = used;\n", ""),
    ("a new owner does not wait for reports", "dispatcher/work.c", "if (w->is_fanout || now_ms >= p->acquired_ms + LEASE_ALONE_MS)", "if (p)"),
    ("a grant is over too early", "dispatcher/share.c", "s->until_ms = heard_ms + SHARE_MS;", "s->until_ms = heard_ms + SHARE_MS / 2;"),
    ("each has the whole rate", "dispatcher/work.c", "limit.rate_micro > rate ? limit.rate_micro - rate : 0;", "limit.rate_micro + 0 * rate;"),
]


@pytest.mark.parametrize("name, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(name, source, old, new):
    assert planted.is_found_by("tests/unit/dispatcher/test_limit_walk", name, source, old, new), "the walk has not found it"
