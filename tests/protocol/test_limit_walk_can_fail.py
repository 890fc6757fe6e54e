"""A bug planted in what keeps limits is found by the dispatcher's random walk (tests/unit/dispatcher/test_limit_walk.c): it is able to fail."""

import os
import re
import subprocess

import pytest
from harness import paths

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
    with open(os.path.join(paths.REPOSITORY, source), encoding="ascii") as file:
        text = file.read()
    assert text.count(old) == 1, f"{name}: the source has changed"
    root = paths.BUILD if os.path.exists(os.path.join(paths.BUILD, ".packages-build")) else os.path.dirname(paths.BUILD)
    folder = os.path.join(root, "planted", re.sub(r"\W+", "_", name))
    os.makedirs(folder, exist_ok=True)
    changed = os.path.join(folder, os.path.basename(source))
    with open(changed, "w", encoding="ascii") as file:
        file.write(text.replace(old, new))
    subprocess.run(["make", "-C", paths.REPOSITORY, f"BUILD={root}", "UNIT=tests/unit/dispatcher/test_limit_walk", f"PLANTED={changed}",
                    "planted-unit"], check=True, stdout=subprocess.DEVNULL, timeout=600)
    found = subprocess.run([changed[:-2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)
    assert found.returncode != 0, "the walk has not found it"
