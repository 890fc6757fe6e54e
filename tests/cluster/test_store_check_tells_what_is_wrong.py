"""
How programs get into Redis, and what they say when they cannot: TLS and passwords, wrong in every way, each with what to do. And `baridctl store
check`: a finding for everything that is not as it should be, on primaries, replicas and Sentinels.
"""

import json
import os
import re
import subprocess
import time

import pytest
import yaml

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.redis import RedisServer
from harness.replicas import RedisCluster, RedisWithSentinels

ACL = "user anna on >anna-secret ~* &* +@all\nuser poor on >poor-secret ~* +ping\n"
GOOD = {"maxmemory": "1gb", "client-output-buffer-limit": "replica 1gb 512mb 60", "auto-aof-rewrite-min-size": "512mb"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("tls")), "redis")


@pytest.fixture(scope="module")
def redis(authority):
    with RedisServer(tcp=True, tls=authority, acl=ACL, options=GOOD) as running:
        yield running


def ctl(folder, store, *words):
    """(status, standard output and error) of baridctl with these settings of the store."""
    conf = folder / "barid.yaml"
    conf.write_text(yaml.safe_dump({"store": store}))
    done = subprocess.run([paths.program("baridctl"), "--config", str(conf), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          check=False)
    return done.returncode, done.stdout.decode()


def access(redis, **more):
    return {**redis.store_settings(), "user": "anna", "password": "anna-secret", **more}


# proves: M05
@pytest.mark.parametrize("wrong,says", [
    ({"password": "another"}, "it refuses the password of user anna, or does not know it: set user and password as in its ACL"),
    ({"user": "nobody"}, "it refuses the password of user nobody"),
    ({"user": "", "password": ""}, "it wants a password: set user and password as in its ACL"),
    ({"user": "poor", "password": "poor-secret"}, "user poor may not use CLIENT ID, CLIENT KILL and INFO: make its rules anew with baridctl store acl"),
    ({"tls_name": "other.test"}, "its certificate is not for other.test"),
    ({"tls_name": ""}, "its certificate is not for 127.0.0.1"),
    ({"tls": False}, "set store.tls yes"),
    ({"tls_ca_file": ""}, "its certificate is not trusted"),
])
def test_who_cannot_come_in_is_told_why(tmp_path, redis, wrong, says):
    began = time.monotonic()
    status, said = ctl(tmp_path, access(redis, **wrong), "status")
    assert status == 1 and says in said, said
    assert "secret" not in said
    assert time.monotonic() - began < 8, "at once, not when the time for an answer is over"


# proves: M05
def test_a_stranger_who_answers_for_redis_gets_no_password(tmp_path, redis):
    stranger = Authority(str(tmp_path), "stranger")
    status, said = ctl(tmp_path, access(redis, tls_ca_file=stranger.ca), "status")
    assert status == 1 and "set store.tls_ca_file to the authority that signed it" in said


def test_settings_that_cannot_be_are_told_at_once(tmp_path, redis):
    for wrong, says in (({"tls_ca_file": "/nowhere.pem"}, "/nowhere.pem"), ({"tls_certificate": "/nowhere.pem"}, "/nowhere.pem")):
        status, said = ctl(tmp_path, access(redis, **wrong), "status")
        assert status == 1 and "store.tls" in said and says in said, said


# proves: M05 M11
def test_a_node_with_a_wrong_password_is_alive_and_not_ready_and_says_why(redis):
    with Cluster(redis=redis, settings={"store": {"user": "anna", "password": "anna-secret"}}) as cluster:
        assert cluster.status()["ready"] in (True, False)
        with redis.client() as connection:
            connection.acl_setuser("anna", enabled=True, reset_passwords=True, passwords=["+another"])
            connection.execute_command("CLIENT KILL USER anna")
        node = cluster.node("ingress1")
        wait.until(lambda: not node.is_ready(), 20, "not ready")
        assert node.http_get("/healthz")[0] == 200
        wait.until(lambda: "refuses the password of user anna" in node.http_get("/readyz")[1] + node.process.log_text(), 20, "the reason")
        with redis.client() as connection:
            connection.acl_setuser("anna", enabled=True, reset_passwords=True, passwords=["+anna-secret"])
        cluster.wait_ready()
        texts = [node.process.log_text() + node.http_get("/metrics")[1] + node.http_get("/readyz")[1] for node in cluster.nodes]
        assert not [text for text in texts if "anna-secret" in text]


def findings(told, level=None):
    return [one["text"] for server in [*told["servers"], told] for one in server["findings"] if level in (None, one["level"])]


# proves: A02 A04
def test_a_good_one_has_no_findings_and_each_fault_has_one(tmp_path, redis):
    settings = access(redis)
    status, said = ctl(tmp_path, settings, "store", "check", "--json")
    told = json.loads(said)
    assert status == 0 and told["ok"] and findings(told) == [], said
    assert [server["role"] for server in told["servers"]] == ["primary"] and abs(told["servers"][0]["clock_ms"]) < 60000
    faults = {"appendfsync": ("everysec", "always", "unsafe"), "no-appendfsync-on-rewrite": ("yes", "no", "unsafe"),
              "maxmemory-policy": ("allkeys-lru", "noeviction", "unsafe"), "min-replicas-to-write": ("1", "0", "weak"),
              "auto-aof-rewrite-min-size": ("1048576", "536870912", "advice")}
    with redis.client() as connection:
        for name, (wrong, right, level) in faults.items():
            connection.config_set(name, wrong)
            status, said = ctl(tmp_path, settings, "store", "check", "--json")
            told = json.loads(said)
            assert (status == 0) == (level == "advice") and told["level"] == level, said
            assert len(findings(told)) == 1 and f"has {name} {wrong}: set {name} " in findings(told)[0]
            connection.config_set(name, right)
    assert ctl(tmp_path, settings, "store", "check")[1].endswith("The store is as it should be.\n")


# proves: A02
def test_a_redis_that_would_forget_at_its_next_start_is_refused(tmp_path):
    """Debian's reads its append-only file in the name of the default user, and leaves out what scripts wrote if that one may not write it."""
    with RedisServer(acl=ACL + "user default off\n", options=GOOD) as redis:
        status, said = ctl(tmp_path, access(redis), "store", "check")
        assert status == 1 and 'unsafe: Redis at' in said and 'set "user default off ~* &* +@all" in its ACL' in said, said
        with redis.client(decode_responses=True) as connection:
            connection.execute_command("ACL SETUSER", "default", "off", "~*", "&*", "+@all")
        assert ctl(tmp_path, access(redis), "store", "check")[0] == 0


# proves: A18
def test_replicas_and_sentinels_are_looked_at_too(tmp_path):
    with RedisWithSentinels(replicas=2, options=GOOD) as redis:
        safe = {**redis.store_settings(), "replicas": 1}
        status, said = ctl(tmp_path, safe, "store", "check", "--json")
        told = json.loads(said)
        assert status == 0 and sorted(server["role"] for server in told["servers"]) == ["primary"] + ["replica"] * 2 + ["sentinel"] * 3, said
        assert findings(told) == []
        patient = redis.sentinels[1]
        patient.ask("SENTINEL SET", redis.MASTER, "down-after-milliseconds", 30000)
        status, said = ctl(tmp_path, safe, "store", "check", "--json")
        assert status == 0 and findings(json.loads(said), "advice") == \
            ["has down-after-milliseconds 30000: set it to 5000 or less (SENTINEL SET, on each Sentinel)"], said
        patient.ask("SENTINEL SET", redis.MASTER, "down-after-milliseconds", redis.down_after_ms)
        status, said = ctl(tmp_path, {**safe, "replicas": 0}, "store", "check")
        assert status == 1 and "set store.replicas to 1 at least, 1 at most" in said
        status, said = ctl(tmp_path, {**safe, "replicas": 2}, "store", "check")
        assert status == 1 and "after losing one nothing is confirmed" in said
        lazy = redis.replicas_of()[0]
        with lazy.client() as connection:
            connection.config_set("appendfsync", "everysec")
        status, said = ctl(tmp_path, safe, "store", "check", "--json")
        told = json.loads(said)
        assert status == 1 and findings(told) == ["has appendfsync everysec: set appendfsync always"], said
        assert [server["address"] for server in told["servers"] if server["findings"]] == [lazy.address]
        redis.kill(lazy)
        redis.sentinels[2].process.kill()
        status, said = ctl(tmp_path, safe, "store", "check", "--json")
        told = json.loads(said)
        assert status == 1 and told["level"] == "unfit"
        assert any("does not answer" in text for text in findings(told, "unfit"))
        assert any("has 1 replica, and store.replicas 1" in text for text in findings(told, "weak")), said


# proves: A18 M05
def test_at_the_sentinels_a_user_needs_what_is_written_and_hears_what_is_missing(tmp_path):
    with open(os.path.join(paths.REPOSITORY, "docs", "store.md")) as text:
        rights = re.search(r"`(-@all [^`]*sentinel[^`]*)`", text.read()).group(1)
    users = [f"user {name} on >looking {rules}" for name, rules in (("reader", rights), ("poor", rights.replace(" +sentinel|replicas", "")))]
    with RedisWithSentinels(replicas=2, options=GOOD, sentinel_users=users) as redis:
        def access_of(user):
            return {**redis.store_settings(), "replicas": 1, "sentinel_user": user, "sentinel_password": "looking"}
        status, said = ctl(tmp_path, access_of("reader"), "store", "check", "--json")
        assert status == 0 and findings(json.loads(said)) == [], said
        with Cluster(redis=redis, settings={"store": access_of("reader")}) as cluster:
            assert "x.test" in cluster.baridctl("queue", "suspend", "x.test", "--yes")
        status, said = ctl(tmp_path, access_of("poor"), "queue", "suspend", "y.test", "--yes")
        assert status == 1 and "allow SENTINEL REPLICAS to store.sentinel_user" in said, said


# proves: A18
def test_primaries_that_disagree_about_a_slot_are_found(tmp_path):
    """A move of a slot that ended half way: the former owner says the new one has it, and that one, never told, says the former."""
    with RedisCluster(replicas=0, options=GOOD) as redis:
        settings, slot = redis.store_settings(), 7
        status, said = ctl(tmp_path, settings, "store", "check")
        assert "disagree" not in said and said.count("primary") == 3, said
        owner = redis.owner_of_slot(slot)
        other = next(one for one in redis.owners() if one is not owner)
        redis.ask(owner, "CLUSTER SETSLOT", slot, "NODE", redis.ids[other.name])
        status, said = ctl(tmp_path, settings, "store", "check", "--json")
        told = [text for text in findings(json.loads(said), "weak") if "disagree about 1 slot (who has slot 7?" in text]
        assert status == 1 and told and f"{owner.address} says {other.address}" in said and f"{other.address} says {owner.address}" in said, said
        advised = re.search(r"run (redis-cli --cluster fix \S+)", told[0]).group(1)
        mended = subprocess.run(advised.split(), input=b"yes\n", stdout=subprocess.PIPE, timeout=60, check=False)
        wait.until(lambda: "disagree" not in ctl(tmp_path, settings, "store", "check")[1], 20, lambda: f"the advice to help: {mended.stdout.decode()}")
