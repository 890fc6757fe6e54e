"""A bug planted in a script is found by the walk: it is able to fail."""

import pytest

from protocol import scripts
from protocol.plants import FOUND_BY, PLANTS
from protocol.walk.run import walk
from protocol.walk.world import Violation

STEPS = 3000
WALKS = [(seed, roughness) for seed in range(1, 8) for roughness in (3, 1)]


@pytest.fixture
def redis(server):
    with server.client(decode_responses=True) as client:
        yield client


@pytest.mark.parametrize("name, script, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_the_walk_finds(redis, name, script, old, new):
    sources = scripts.planted(scripts.sources(), script, old, new)
    for seed, roughness in sorted(WALKS, key=lambda walk: walk != FOUND_BY.get(name)):
        try:
            walk(redis, seed, STEPS, sources, roughness)
        except Violation as violation:
            print(f"{name}: {str(violation).splitlines()[0]}")
            return
    pytest.fail(f"{len(WALKS)} walks did not find: {name}")
