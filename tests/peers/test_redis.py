"""The power failure is real: with everysec it loses acknowledged writes, with always it does not."""

import threading

import redis as client

from harness import wait
from harness.redis import RedisServer


def write_until_dead(server, acknowledged):
    connection = server.client()
    number = 0
    try:
        while True:
            connection.set(f"k{number}", "x" * 100)
            acknowledged.append(number)
            number += 1
    except client.exceptions.RedisError:
        pass


def lost_after_power_failure(appendfsync, rounds):
    lost = 0
    with RedisServer(appendfsync=appendfsync) as server:
        for _ in range(rounds):
            acknowledged = []
            writer = threading.Thread(target=write_until_dead, args=(server, acknowledged))
            writer.start()
            wait.until(lambda: len(acknowledged) > 200, 30, "200 acknowledged writes")
            server.kill_and_cut()
            writer.join()
            server.start()
            with server.client() as connection:
                lost += len(acknowledged) - connection.exists(*[f"k{n}" for n in acknowledged])
                connection.flushall()
    return lost


def test_always_loses_no_acknowledged_write():
    assert lost_after_power_failure("always", 4) == 0


def test_everysec_loses_acknowledged_writes():
    assert lost_after_power_failure("everysec", 2) > 0


def test_plain_kill_loses_nothing():
    with RedisServer(appendfsync="everysec") as server:
        with server.client() as connection:
            for number in range(100):
                connection.set(f"k{number}", "x")
        server.restart()
        with server.client() as connection:
            assert connection.dbsize() == 100


def test_cut_survives_rewrite_of_the_append_only_file():
    with RedisServer(appendfsync="always") as server:
        with server.client() as connection:
            for number in range(50):
                connection.set(f"k{number}", "x")
            connection.bgrewriteaof()
            wait.until(lambda: connection.info("persistence")["aof_rewrite_in_progress"] == 0
                       and connection.info("persistence")["aof_rewrite_scheduled"] == 0, 20, "rewrite ends")
            for number in range(50, 100):
                connection.set(f"k{number}", "x")
        server.restart(cut=True)
        with server.client() as connection:
            assert connection.dbsize() == 100
        assert any(name.endswith(".2.incr.aof") for name in server.synced())


def test_torn_tail_loads():
    with RedisServer(appendfsync="always") as server:
        with server.client() as connection:
            for number in range(10):
                connection.set(f"k{number}", "x")
        server.kill()
        import glob
        import os
        path, = glob.glob(f"{server.folder}/appendonlydir/*.incr.aof")
        os.truncate(path, os.path.getsize(path) - 3)
        server.start()
        with server.client() as connection:
            assert connection.dbsize() == 9


def test_options_and_tcp_port():
    with RedisServer(tcp=True, options={"maxmemory": "8mb"}) as server:
        with client.Redis(host="127.0.0.1", port=server.port) as connection:
            assert connection.config_get("maxmemory")["maxmemory"] == str(8 << 20)
            assert connection.config_get("appendfsync")["appendfsync"] == "always"
