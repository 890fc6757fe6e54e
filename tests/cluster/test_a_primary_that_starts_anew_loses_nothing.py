"""
A primary starts anew and counts its stream from nought, so that a replica without its copy looks as if it had most, and is promoted: with
Sentinels, and in a Cluster. Nothing that was answered 250 may be lost by that, whoever has just started too.
"""

import pytest

from harness import paths

from failover import SEED, in_a_cluster, promoted_uncopied, with_sentinels

STORES = pytest.mark.parametrize("make", [with_sentinels, in_a_cluster], ids=["sentinels", "cluster"])


# proves: A02 A18
@STORES
def test_a_replica_that_has_no_copy_may_be_promoted(make):
    with make(SEED + 5) as scene:
        scene.more(300)
        scene.learn_slots()
        print(f"{promoted_uncopied(scene, least=40)} acknowledged meanwhile")
        scene.more(50)
        assert scene.settle().lost == 0


@pytest.fixture(scope="module")
def no_gathering():
    """A build that takes the word of the replicas that follow, whoever else may be promoted."""
    return paths.built("plant-no_gathering", "PLANT=no_gathering")


@STORES
def test_the_loss_is_found_when_who_has_no_copy_is_not_waited_for(make, no_gathering):
    with make(SEED + 5, build=no_gathering) as scene:
        scene.more(300)
        scene.learn_slots()
        assert promoted_uncopied(scene, least=20) >= 20
        assert scene.lost() > 0
