"""A queue moved out of a Redis Cluster with TLS and users into a primary with Sentinels, copied into a file there, and moved back: nothing is lost."""

import pytest
import yaml
from test_a_queue_moves_to_another_store import check_same, counts, ctl, fill, routed, shown
from test_each_role_has_only_its_rights import Rights

from harness.authority import Authority
from harness.cluster import Cluster
from harness.replicas import RedisCluster, RedisWithSentinels
from harness.sink import ScriptedSink, reply

DOMAINS = ("later.test", "other.test", "far.test")


@pytest.fixture(scope="module")
def rights(tmp_path_factory):
    return Rights(str(tmp_path_factory.mktemp("rights") / "secrets"))


def as_operator(cluster, rights, path):
    """Its settings as a file that needs no environment."""
    with open(cluster.conf, encoding="utf-8") as file:
        settings = yaml.safe_load(file)
    settings["store"].update(user="operator", password=rights.password("operator"))
    path.write_text(yaml.safe_dump(settings))
    return path


def moved(cluster, *arguments):
    told = ctl(cluster, "store", "export", "*", "--move", *arguments, "--yes")
    assert told["done"] and told["refused"] == told["in_doubt"] == told["left_claimed"] == 0, told
    cluster.wait_empty(30)
    return told["moved"]


# proves: A01
def test_from_a_cluster_with_users_to_sentinels_and_back(rights, tmp_path):
    authority = Authority(str(tmp_path / "tls"), "redis")
    with ScriptedSink() as sink, \
            RedisCluster(primaries=2, replicas=0, tls=authority, acl=rights.acl) as many, \
            RedisWithSentinels(replicas=2) as one:
        rule = sink.rule("rcpt", reply("450 4.2.1 come again"))
        with Cluster(settings=routed(sink, *DOMAINS), redis=many, store_users=rights.users()) as here, \
                Cluster(settings=routed(sink, *DOMAINS, store={"replicas": 1}), redis=one) as there:
            messages = fill(here, tmp_path)
            before = {message: shown(here, message) for message in messages}
            jobs = moved(here, "--to", there.conf)
            assert jobs == 11 and sum(counts(there).values()) == 11, counts(there)
            check_same(there, before)
            file = tmp_path / "queue.barid"
            assert ctl(there, "store", "export", "*", "--file", file)["jobs"] == 11
            assert moved(there, "--to", as_operator(here, rights, tmp_path / "here.yaml")) == 11
            check_same(here, before)
            again = ctl(here, "store", "import", file, "--yes")
            assert (again["new"], again["again"]) == (0, 11), again
            sink.clear(rule)
            for order in ("release", "retry"):
                here.baridctl("queue", order, "*", "--yes")
            here.wait_empty(60)
            assert len(sink.taken()) == 10, "each recipient once"
            assert sum(counts(there).values()) == 0
            for server in many.servers:
                with server.client(decode_responses=True) as connection:
                    assert connection.acl_log() == []
