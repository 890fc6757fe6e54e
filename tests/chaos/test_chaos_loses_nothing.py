"""Short runs of chaos (`make chaos` is a long one), and that it finds the loss where there is one."""

import os
import random

import pytest
from chaos import Chaos
from plan import STANDALONE, STORES
from text import report

SEED = int(os.environ.get("CHAOS_SEED", random.SystemRandom().randrange(1 << 31)))


# proves: A01 A02 A05 A07 A09 A12 A14 A17 A18 J05 K22
@pytest.mark.parametrize("store", STORES)
def test_whatever_is_killed_stopped_or_cut_nothing_is_lost_or_stuck(build, store):
    print(f"CHAOS_SEED={SEED} repeats the plan", flush=True)
    chaos = Chaos(store, 30, SEED, storm_length=8, settings={"retry": {"lifetime": "10s"}}, build=build).run()
    if chaos.result:
        print(report(chaos.result), flush=True)
    assert chaos.problems == []


def test_the_loss_is_found_when_redis_syncs_every_second_only(build):
    print(f"CHAOS_SEED={SEED} repeats the plan", flush=True)
    chaos = Chaos(STANDALONE, 8, SEED, storm_length=8, kinds={("cut", "redis")}, drain_s=8, settings={"store": {"durability": "none"}},
                  appendfsync="everysec", build=build).run()
    assert chaos.ledger.lost > 0
