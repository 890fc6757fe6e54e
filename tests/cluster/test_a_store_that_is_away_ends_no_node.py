"""
The store is away, whatever it is made of: every role goes on living (/healthz), says that it is not ready and why (/readyz), and is ready again by
itself, as the same process. Orders given before hold.
"""

import json

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.redis import RedisServer
from harness.replicas import RedisCluster, RedisWithSentinels

STORES = {"standalone": RedisServer, "sentinel": RedisWithSentinels, "cluster": RedisCluster}


@pytest.fixture(params=STORES)
def cluster(request):
    with STORES[request.param]() as redis:
        with Cluster(redis=redis, settings={"store": {"replicas": 0 if request.param == "standalone" else 1}}) as made:
            yield made


def states(cluster):
    return {node["role"]: node["state"] for node in json.loads(cluster.baridctl("node", "list", "--json"))["nodes"]}


# proves: M11
def test_it_lives_is_not_ready_and_comes_back(cluster):
    cluster.baridctl("node", "drain", "dispatcher1.relay.test", "--yes", "--wait")
    nodes, servers = cluster.nodes, [server.process for server in cluster.redis.servers]
    pids = [node.pid for node in nodes]
    for server in servers:
        server.freeze()
    for node in nodes:
        wait.until(lambda node=node: "draining" not in node.http_get("/readyz")[1] and node.http_get("/readyz")[0] == 503, 30, f"{node.name} is not ready")
        assert len(node.http_get("/readyz")[1]) > 20, "it says why"
        assert node.http_get("/healthz") == (200, "ok\n") and node.process.alive()
    for server in servers:
        server.thaw()
    wait.until(lambda: states(cluster) == {"ingress": "working", "dispatcher": "drained", "courier": "working"}, 60, lambda: f"all are back: {states(cluster)}")
    cluster.baridctl("node", "undrain", "dispatcher1.relay.test")
    cluster.wait_ready(60)
    assert [node.pid for node in nodes] == pids


# proves: M11
def test_a_node_that_starts_without_a_store_waits_for_it():
    with RedisServer() as redis:
        cluster = Cluster(redis=redis)
        cluster.write_settings()
        redis.kill()
        try:
            for node in cluster.nodes:
                node.process.start()
            for node in cluster.nodes:
                node.process.wait_http(node.url("/healthz"))
                assert node.http_get("/readyz")[0] == 503
            redis.start()
            cluster.wait_ready()
            assert all(node.process.starts == 1 for node in cluster.nodes)
        finally:
            cluster.__exit__(None)


# proves: A18
def test_an_order_outlives_a_failover():
    with RedisWithSentinels() as redis, Cluster(redis=redis, couriers=2, settings={"store": {"replicas": 1}}) as cluster:
        cluster.baridctl("node", "drain", "courier1.relay.test", "--wait")
        old = redis.primary
        redis.kill(old)
        redis.wait_failover(old)
        redis.restart(old)
        cluster.wait_log("courier", "event=store_lost")
        cluster.node("courier2").wait_ready(30)
        wait.until(lambda: "draining" in cluster.node("courier1").http_get("/readyz")[1], 30, "it drains on")
        cluster.node("courier1").process.terminate()
        cluster.restart("courier1")
        wait.until(lambda: "draining" in cluster.node("courier1").http_get("/readyz")[1], 30, "started anew it drains, too")
        cluster.baridctl("node", "undrain", "courier1.relay.test")
        cluster.wait_ready()
