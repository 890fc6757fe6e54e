"""
A Redis Cluster of three primaries with two replicas each, at a level that the audit calls safe (store.replicas: 1): now the primary of the
common keys, now another is lost under load in every way there is, and no mail.
"""

from failover import SEED, held_back, in_a_cluster, lost_only_since


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
