"""site show tells where mail goes as DNS has it now; doctor finds what is wrong with a cluster, and says what to do."""

import json
import signal
import subprocess

from harness import paths, wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.replicas import RedisCluster

CTL = paths.program("baridctl")


def run(cluster, *arguments):
    """(exit status, JSON)"""
    done = subprocess.run([CTL, "--config", cluster.conf, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          check=False)
    return done.returncode, json.loads(done.stdout)


def of(told, about):
    return [row for row in told["findings"] if row["about"] == about]


def test_site_show_asks_dns():
    zone = Zone().mx("two.test", (20, "b.two.test"), (10, "a.two.test")).mx("lost.test", "nowhere.test")
    zone.a("a.two.test", "127.0.0.1", "127.0.0.2").a("b.two.test", "127.0.0.3").a("plain.test", "127.0.0.4")
    zone.record("never.test", "MX", "0 .")
    with Dns(zone) as dns, Cluster(dns_port=dns.port) as cluster:
        _, told = run(cluster, "site", "show", "someone@two.test")
        assert [(host["host"], host["preference"]) for host in told["hosts"]] == [("a.two.test", 10), ("b.two.test", 20)]
        assert sorted(told["hosts"][0]["addresses"]) == ["127.0.0.1", "127.0.0.2"]
        assert told["hosts"][0]["tls"].startswith("may") and told["sts_record"] == "" and told["tls"] == "auto"
        _, told = run(cluster, "site", "show", "plain.test")
        assert [host["host"] for host in told["hosts"]] == ["plain.test"] and "the domain itself" in told["mx"]
        _, told = run(cluster, "site", "show", "never.test")
        assert told["hosts"] == [] and "null MX" in told["mx"]
        _, told = run(cluster, "site", "show", "lost.test")
        assert told["hosts"][0]["addresses"] == [] and told["hosts"][0]["dns"] == "no such name"
        cluster.baridctl("limit", "set", "site:a.two.test", "connections=3", "--yes")
        text = cluster.baridctl("site", "show", "two.test")
        assert "connections=3 for site:a.two.test by rule r1" in text and "a.two.test" in text


def test_doctor_finds_a_node_with_other_settings():
    with Cluster(ingress=2, couriers=2) as cluster:
        wait.until(lambda: [row["level"] for row in of(run(cluster, "doctor")[1], "settings")] == ["good"], 20, "beats tell of settings")
        cluster.write_settings({"courier": {"max_claimed": 7}})
        cluster.node("courier2").process.signal(signal.SIGHUP)

        def is_found():
            status, told = run(cluster, "doctor")
            wrong = [row for row in of(told, "settings") if row["level"] == "wrong"]
            return status == 1 and not told["ok"] and len(wrong) == 1 and "courier of courier2.relay.test" in wrong[0]["text"]
        wait.until(is_found, 20, lambda: f"the drift is found: {run(cluster, 'doctor')}")
        text = subprocess.run([CTL, "--config", cluster.conf, "doctor"], stdout=subprocess.PIPE, check=False).stdout.decode()
        assert "WRONG   settings" in text and "-> compare its file" in text
        cluster.reload()
        wait.until(lambda: [row["level"] for row in of(run(cluster, "doctor")[1], "settings")] == ["good"], 20, "it is mended")


def test_doctor_misses_nodes_and_resolvers():
    with Cluster() as cluster:
        cluster.kill("courier")
        wait.until(lambda: any("no courier works" in row["text"] for row in of(run(cluster, "doctor")[1], "nodes")), 20, "it is missed")
        cluster.write_settings({"dns": {"servers": ["127.0.0.1:9"], "timeout": "200ms", "tries": 1}})
        status, told = run(cluster, "doctor")
        assert status == 1 and any("no resolver answers" in row["text"] and row["remedy"] for row in of(told, "DNS"))
        assert all(row["remedy"] for row in told["findings"] if row["level"] != "good")


def test_a_store_of_several_is_seen_whole():
    with RedisCluster(primaries=3, replicas=0) as redis, Cluster(redis=redis) as cluster:
        cluster.kill("courier")
        host, port = cluster.addresses[0]
        for n in range(6):
            cluster.baridctl("send", "--server", f"{host}:{port}", "--to", f"x@d{n}.test")
        told = json.loads(cluster.baridctl("partition", "list", "--json"))["partitions"]
        assert {row["shard"] for row in told} == {server.address for server in redis.servers}
        assert sum(row["waiting"] for row in told) == 6
        shards = json.loads(cluster.baridctl("store", "memory", "--json", timeout=60))["shards"]
        assert {shard["address"] for shard in shards} == {server.address for server in redis.servers}
        jobs = [kind for shard in shards for kind in shard["kinds"] if kind["kind"] == "jobs"]
        assert sum(kind["keys"] for kind in jobs) == 6
        assert json.loads(cluster.baridctl("top", "--once", "--json"))["waiting"] == 6
