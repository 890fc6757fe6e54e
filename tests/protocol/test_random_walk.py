"""Invariants 2 to 6 under losses, late requests, crashes, pauses, outages, jumps of the clock and orders.

WALK_SEEDS (as 1-4 or 7,9) and WALK_STEPS (commands with faults, per seed) make it longer.
"""

import os

import pytest

from protocol.walk.run import walk


def seeds():
    for part in os.environ.get("WALK_SEEDS", "1-4").split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


@pytest.fixture
def redis(server):
    with server.client(decode_responses=True) as client:
        yield client


# proves: A05 A06 A07 A09 A17
@pytest.mark.parametrize("seed", seeds())
def test_nothing_is_lost_doubled_or_left(redis, seed):
    steps = int(os.environ.get("WALK_STEPS", "4000"))
    print(f"walk: seed {seed}, {steps} steps")
    world = walk(redis, seed, steps)
    print(f"steps {world.steps}:", ", ".join(f"{name} {count}" for name, count in sorted(world.counts.items())))
    assert world.counts["accepted"] > 50 and world.counts["recipients delivered"] > 100
    assert world.counts["reaped"] and world.counts["reports"]
