"""A short storm (`make storm` is a long one), and that it finds a bug where there is one."""

import os
import random

from storm import Storm

from harness.planted import program

SEED = int(os.environ.get("STORM_SEED", random.SystemRandom().randrange(1 << 31)))


# proves: M04 M05
def test_any_octets_at_any_socket_do_no_harm():
    print(f"STORM_SEED={SEED} repeats the dice", flush=True)
    storm = Storm(20, SEED).run()
    print(storm.counts, flush=True)
    assert storm.problems == []
    assert all(storm.counts.values()), "each gust blew"


def test_a_planted_bug_is_found():
    print(f"STORM_SEED={SEED} repeats the dice", flush=True)
    usual = "    s->on_get(s->owner, x, path);\n"
    short = "    char copy[64];\n    memcpy(copy, path, strlen(path) + 1);\n    path = copy;\n"
    planted = program("dispatcher", "a path of any length", "lib/io/http_server.c", usual, short + usual, "SAN=address,undefined")
    storm = Storm(60, SEED, planted={"dispatcher": planted}).run()
    assert any("dispatcher1 ended" in problem for problem in storm.problems)
    assert any("AddressSanitizer: stack-buffer-overflow" in problem for problem in storm.problems)
