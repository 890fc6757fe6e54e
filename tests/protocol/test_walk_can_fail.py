"""A bug planted in a script is found by the walk: it is able to fail."""

import pytest

from protocol import scripts
from protocol.plants import PLANTS
from protocol.walk.run import walk
from protocol.walk.world import Violation

SEEDS = range(1, 7)
STEPS = 3000
ROUGHNESS = 3


@pytest.fixture
def redis(server):
    with server.client(decode_responses=True) as client:
        yield client


@pytest.mark.parametrize("name, script, old, new", PLANTS, ids=[name.replace(" ", "_") for name, *_ in PLANTS])
def test_the_walk_finds(redis, name, script, old, new):
    sources = scripts.planted(scripts.sources(), script, old, new)
    for seed in SEEDS:
        try:
            walk(redis, seed, STEPS, sources, ROUGHNESS)
        except Violation as violation:
            print(f"{name}: {str(violation).splitlines()[0]}")
            return
    pytest.fail(f"{len(SEEDS)} seeds did not find: {name}")
