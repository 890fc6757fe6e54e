"""
A Redis Cluster of three primaries with two replicas each, at a level that the audit calls safe (store.replicas: 1): now the primary of the
common keys, now another is lost under load in every way there is, and no mail.
"""

import pytest

from harness import paths

from failover import SEED, held_back, in_a_cluster, lost_only_since, promoted_uncopied


# proves: A01 A02 A03 A05 A18
def test_a_primary_of_a_cluster_may_be_lost_in_any_way():
    with in_a_cluster(SEED + 3) as scene:
        scene.run().assert_balanced()


# proves: A18
def test_without_replicas_that_confirm_a_cluster_loses_what_they_had_not_heard_and_nothing_else():
    with in_a_cluster(SEED + 4, replicas=1, settings={"store": {"durability": "none"}}) as scene:
        scene.more(100)
        since, early = held_back(scene, least=60)
        assert early >= 60
        assert lost_only_since(scene, since) > 0


# proves: A02 A18
def test_a_replica_that_has_no_copy_of_a_new_start_may_be_promoted():
    with in_a_cluster(SEED + 5) as scene:
        scene.more(300)
        scene.learn_slots()
        print(f"{promoted_uncopied(scene, least=40)} acknowledged meanwhile")
        scene.more(50)
        assert scene.settle().lost == 0


@pytest.fixture(scope="module")
def no_gathering():
    """A build that takes the word of the replicas that follow, whoever else may be promoted."""
    return paths.built("plant-no_gathering", "PLANT=no_gathering")


def test_the_loss_is_found_when_who_has_no_copy_is_not_waited_for(no_gathering):
    with in_a_cluster(SEED + 5, build=no_gathering) as scene:
        scene.more(300)
        scene.learn_slots()
        assert promoted_uncopied(scene, least=20) >= 20
        assert scene.lost() > 0
