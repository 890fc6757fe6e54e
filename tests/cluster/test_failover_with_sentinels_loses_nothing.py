"""
A primary with two replicas and three Sentinels, at a level that the audit calls safe (store.replicas: 1): the primary is lost under load in
every way there is, and no mail. At weaker levels what is lost is what the documentation says.
"""

import pytest

from harness import paths

from failover import SEED, held_back, lost_only_since, promoted_from_behind, with_sentinels


# proves: A01 A02 A03 A05 A18
def test_a_primary_with_sentinels_may_be_lost_in_any_way():
    with with_sentinels() as scene:
        scene.run().assert_balanced()


# proves: A18
@pytest.mark.parametrize("has_address", [False, True], ids=["durability none", "fsync alone, behind an address that moves"])
def test_without_replicas_that_confirm_what_they_had_not_heard_is_lost_and_nothing_else(has_address):
    level = {"store": {"durability": "fsync" if has_address else "none"}}
    with with_sentinels(SEED + 1, replicas=1, settings=level, has_address=has_address) as scene:
        scene.more(100)
        since, early = held_back(scene, least=20)
        assert early >= 20
        assert lost_only_since(scene, since) > 0


# proves: A02 A18
def test_nothing_is_answered_250_that_no_replica_holds():
    with with_sentinels(SEED + 2) as scene:
        scene.more(100)
        _, early = held_back(scene, least=0)
        print(f"{early} acknowledged meanwhile")
        scene.more(50)
        scene.settle().assert_balanced()


@pytest.fixture(scope="module")
def no_wait():
    """A build in which nobody looks at what WAIT counted."""
    return paths.built("plant-no_wait", "PLANT=no_wait")


def test_the_loss_is_found_when_nobody_counts_the_replicas(no_wait):
    with with_sentinels(SEED + 2, build=no_wait) as scene:
        scene.more(100)
        _, early = held_back(scene, least=5)
        assert early >= 5
        assert scene.lost() > 0


# proves: A02 A18
def test_any_replica_that_follows_may_be_promoted():
    with with_sentinels(SEED + 3) as scene:
        scene.more(100)
        print(f"{promoted_from_behind(scene, least=100)} acknowledged meanwhile")
        scene.more(50)
        assert scene.settle().lost == 0  # second copies there are: what was delivered while it lagged was never recorded with it


@pytest.fixture(scope="module")
def any_replica():
    """A build that takes the word of whichever replica is first."""
    return paths.built("plant-any_replica", "PLANT=any_replica")


def test_the_loss_is_found_when_one_replica_is_as_good_as_another(any_replica):
    with with_sentinels(SEED + 3, build=any_replica) as scene:
        scene.more(100)
        assert promoted_from_behind(scene, least=20) >= 20
        assert scene.lost() > 0
