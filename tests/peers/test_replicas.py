"""Redis as people run it: Sentinels and a Cluster promote a replica, which has what was confirmed; slots move while clients write."""

import threading

import pytest
import redis as client

from harness import paths, wait
from harness.authority import Authority
from harness.redis import HARNESS, RedisServer, TLS_NAME
from harness.replicas import RedisCluster, RedisWithSentinels
from harness.slots import COMMON_SLOT, partition_slot, slot_of


@pytest.fixture
def authority(tmp_path):
    return Authority(str(tmp_path))


def write_confirmed(redis, count, replicas=1, prefix="k{c}"):
    """Writes that so many replicas hold; returns how many there were before that failed."""
    connection = redis.client(single_connection_client=True)
    for number in range(count):
        connection.set(f"{prefix}{number}", "x" * 100)
        if connection.execute_command("WAIT", replicas, 5000) < replicas:
            return number
    return count


def present(redis, count, prefix="k{c}"):
    with redis.client() as connection:
        return connection.exists(*[f"{prefix}{number}" for number in range(count)])


def test_slots_are_those_of_redis():
    with RedisCluster(primaries=1, replicas=0, witness=False) as redis:
        for key in ("a", "{c}x", "x{}y", "x{a}{b}", "j:{7}:1", "{", "}{"):
            assert redis.ask("redis1", "CLUSTER KEYSLOT", key) == slot_of(key)
    assert [partition_slot(partition) // 64 for partition in range(256)] == list(range(256))


def test_sentinels_promote_a_replica_that_has_what_was_confirmed():
    with RedisWithSentinels(replicas=2) as redis:
        for hurt, heal in ((redis.kill_and_cut, redis.restart), (redis.freeze, redis.thaw)):
            assert write_confirmed(redis, 100) == 100
            old = redis.primary
            hurt(old)
            new = redis.wait_failover(old)
            assert new is not old and redis.primary is new
            assert present(redis, 100) == 100
            heal(old)
            redis.wait_ready()
            assert redis.primary is new and old in redis.replicas_of()


def test_a_cluster_promotes_a_replica_that_has_what_was_confirmed():
    with RedisCluster(replicas=1) as redis:
        old = redis.owner()
        connection = old.client(single_connection_client=True)
        for number in range(100):
            connection.set(f"k{{c}}{number}", "x")
        assert connection.execute_command("WAIT", 1, 5000) == 1
        redis.kill_and_cut(old)
        new = redis.wait_failover(old)
        assert redis.owner() is new
        with new.client() as promoted:
            assert promoted.dbsize() >= 100
        redis.restart(old)
        redis.wait_ready()
        assert redis.replicas_of(new) == [old]


def test_a_replica_that_is_held_back_is_promoted_without_what_it_did_not_hear():
    with RedisWithSentinels(replicas=1) as redis:
        old = redis.primary
        assert write_confirmed(redis, 10) == 10
        redis.hold_back(old)
        assert write_confirmed(redis, 20) < 20
        redis.kill(old)
        redis.wait_failover(old)
        assert present(redis, 20) == 10


def test_a_replica_that_loses_power_too_has_what_it_confirmed():
    """Also when it had copied everything a moment ago, and its append-only file has just become one."""
    with RedisWithSentinels(replicas=1) as redis:
        replica, = redis.replicas_of()
        for _ in range(3):
            assert write_confirmed(redis, 50) == 50
            wait.until(lambda: replica.client().info("persistence")["aof_rewrite_in_progress"] == 0, 20, "the end of a rewrite")
            redis.kill_and_cut(replica)
            redis.restart(replica)
            with replica.client() as connection:
                wait.until(lambda: connection.info("replication")["master_link_status"] == "up", 20, "the copy")
                assert connection.dbsize() >= 50


def test_slots_move_while_clients_write():
    with RedisCluster(replicas=0) as redis:
        acknowledged, is_over = [], threading.Event()

        def write():
            connection = redis.client()
            while not is_over.is_set():
                try:
                    connection.set(f"n{len(acknowledged)}{{{len(acknowledged) % 50}}}", "x")
                except client.exceptions.RedisError:  # a slot on its way: again
                    continue
                acknowledged.append(1)
        writer = threading.Thread(target=write)
        writer.start()
        wait.until(lambda: len(acknowledged) > 500, 30, "500 writes")
        first, second, _ = redis.owners()
        busy = [slot for slot in redis.slots_of(first) if slot in {slot_of(f"{{{n}}}") for n in range(50)}]
        for source, target in ((first, second), (second, first)):
            moved = redis.move_slots(busy, source, target)
            assert len(moved) == len(busy) and sum(one.keys for one in moved) > 0
        before = len(acknowledged)
        wait.until(lambda: len(acknowledged) > before + 100, 30, "writes afterwards")
        is_over.set()
        writer.join()
        with redis.client() as connection:
            assert sum(connection.exists(f"n{n}{{{n % 50}}}") for n in range(len(acknowledged))) == len(acknowledged)


def test_a_cluster_grows_by_a_server():
    with RedisCluster(replicas=0) as redis:
        old, new = redis.owner(), redis.add()
        redis.move_slots([COMMON_SLOT], old, new)
        assert redis.owner() is new


def test_all_of_them_speak_tls_and_know_their_users(authority):
    users = "user app on >secret ~* &* +@all"
    for redis in (RedisWithSentinels(replicas=1, tls=authority, acl=users), RedisCluster(replicas=1, tls=authority, acl=users)):
        with redis:
            server = redis.primary
            with server.client(single_connection_client=True) as connection:
                connection.set("x{c}", "y")
                assert connection.execute_command("WAIT", 1, 5000) == 1
            secure = {"host": server.ip, "port": server.port, "ssl": True, "ssl_ca_certs": authority.ca}
            assert client.Redis(**secure, username="app", password="secret").get("x{c}") == b"y"
            with pytest.raises(client.exceptions.RedisError, match="invalid"):
                client.Redis(**secure, username="app", password="wrong").get("x{c}")
            with pytest.raises(client.exceptions.RedisError, match="Authentication required"):
                client.Redis(**secure).get("x{c}")
            assert redis.store_settings()["tls_name"] == TLS_NAME


def test_one_server_speaks_tls_only(authority):
    with RedisServer(tcp=True, tls=authority, acl="") as redis:
        with pytest.raises(client.exceptions.ConnectionError):
            client.Redis(port=redis.port, username=HARNESS[0], password=HARNESS[1]).ping()
        assert client.Redis(port=redis.port, ssl=True, ssl_ca_certs=authority.ca, username=HARNESS[0], password=HARNESS[1]).ping()
        with pytest.raises(client.exceptions.ConnectionError):
            client.Redis(port=redis.port, ssl=True, ssl_ca_certs=Authority(paths.scratch("other")).ca).ping()
