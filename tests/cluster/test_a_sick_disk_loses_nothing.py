"""
Redis' disk is full, breaks, is slow, or gives back a damaged file: nothing is said to be taken that is not, nobody is refused for it, and what was taken
is there when the disk is well again. What an operator has to do is docs/store.md.
"""

import contextlib
import errno
import glob
import os
import random
import re
import subprocess

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.disk import Disk
from harness.generator import Generator
from harness.ledger import Ledger
from harness.redis import RedisServer
from harness.sink import ScriptedSink

HOST = "127.0.0.1"


class Scene:
    """A cluster under load whose Redis has a disk that can fall ill."""

    def __init__(self, appendfsync="always", settings=None, **options):
        self.redis = RedisServer(appendfsync=appendfsync, options=options)
        self.disk = Disk(self.redis)
        self.sink = ScriptedSink()
        self.cluster = None
        self.settings = {"courier": {"routes": {"one.test": f"{HOST}:{self.sink.port}"}}, **(settings or {})}

    def __enter__(self):
        self.redis.start()
        self.sink.start()
        self.cluster = Cluster(redis=self.redis, settings=self.settings).start()
        self.generator = Generator(self.cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@one.test"]), sessions=6)
        self.generator.start()
        self.more(50)
        return self

    def __exit__(self, kind, *given):
        self.generator.__exit__(kind, *given)
        self.cluster.__exit__(kind, *given)
        self.sink.stop()
        self.redis.__exit__(kind, *given)

    def more(self, count):
        self.generator.wait_acknowledged(len(self.generator.acknowledged()) + count)

    def wait_refused_for_now(self):
        """Clients hear 4xx, as long as it lasts."""
        wait.until(lambda: not self.is_ready(), 30, "ingress is not ready")
        asked = len(self.generator.items)
        wait.until(lambda: any(attempt.outcome == "later" for item in self.generator.items[-20:] for attempt in item.attempts[-2:]), 30,
                   lambda: f"clients are put off ({asked} messages)")

    def is_ready(self):
        return all(node.is_ready() for node in self.cluster.of("ingress"))

    def wait_redis_dead(self):
        wait.until(lambda: not self.redis.process.alive(), 30, "redis has given up")

    def settle(self):
        self.more(50)
        self.generator.stop()
        self.cluster.wait_empty()
        assert not any(item.refused for item in self.generator.items), "a sick disk is nobody's 5xx"
        return Ledger([self.generator], [self.sink], self.cluster.faults)

    def fault(self):
        return self.cluster.faults.note("redis", "redis", self.redis.pid, "disk", lasting=True)


# proves: A02 A03
@pytest.mark.parametrize("ill", ["full", "full in the middle of a write", "write", "sync"])
def test_a_disk_that_fails_loses_nothing(ill):
    """With appendfsync always Redis ends itself rather than answer for what is not on the disk."""
    with Scene() as scene:
        fault = scene.fault()
        {"full": scene.disk.fill, "full in the middle of a write": lambda: scene.disk.fill(random.randrange(1, 3000)),
         "write": lambda: scene.disk.break_writes(errno.EIO), "sync": lambda: scene.disk.break_syncs(errno.EIO)}[ill]()
        scene.wait_redis_dead()
        scene.wait_refused_for_now()
        with contextlib.suppress(AssertionError):
            scene.redis.start()  # the disk is as it was: it comes up, and ends at its first write
        scene.wait_redis_dead()
        assert not scene.is_ready()
        scene.disk.heal()
        scene.redis.start()
        scene.cluster.wait_ready()
        fault.end()
        scene.settle().assert_balanced()


# proves: A03
def test_a_full_disk_with_misconf_is_waited_for():
    """Without fsync Redis goes on and refuses writes (MISCONF); when there is room it takes them again by itself."""
    with Scene(appendfsync="everysec", settings={"store": {"durability": "none"}}) as scene:
        fault = scene.fault()
        scene.disk.fill()
        def is_refusing():
            with scene.redis.client() as redis:
                return redis.info("persistence")["aof_last_write_status"] != "ok"
        wait.until(is_refusing, 30, "redis notices")
        wait.until(lambda: any(item.attempts and item.attempts[-1].outcome == "later" for item in scene.generator.items), 60,
                   "clients are put off")
        assert scene.redis.process.alive()
        scene.disk.heal()
        fault.end()
        scene.settle().assert_balanced()


# proves: A02 A03
def test_a_slow_disk_makes_250_slow_and_nothing_else():
    with Scene() as scene:
        fault = scene.fault()
        for ms in (100, 700):
            scene.disk.slow(ms)
            scene.more(10)
        scene.disk.heal()
        fault.end()
        scene.settle().assert_balanced()


def append_only_file(redis):
    return max(glob.glob(os.path.join(redis.folder, "appendonlydir", "*.incr.aof")), key=os.path.getmtime)


def check_aof(redis, *options):
    manifest = glob.glob(os.path.join(redis.folder, "appendonlydir", "*.manifest"))[0]
    return subprocess.run(["redis-check-aof", *options, manifest], input=b"y\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)


# proves: A02 A10
@pytest.mark.parametrize("is_taken", [True, False], ids=["aof-load-truncated yes", "aof-load-truncated no"])
def test_a_torn_last_write_was_never_taken(is_taken):
    """A power failure in the middle of a write: what is torn had no 250."""
    with Scene(**{"aof-load-truncated": "yes" if is_taken else "no"}) as scene:
        fault = scene.cluster.faults.note("redis", "redis", scene.redis.pid, "cut", lasting=True)
        scene.redis.kill_and_cut()
        with open(append_only_file(scene.redis), "ab") as file:
            file.write(b"*3\r\n$3\r\nSET\r\n$5\r\nb:{0}")
        if not is_taken:
            with pytest.raises(Exception):
                scene.redis.start(timeout=5)
            assert not scene.is_ready()
            assert check_aof(scene.redis, "--fix").returncode == 0
        scene.redis.start()
        scene.cluster.wait_ready()
        fault.end()
        scene.settle().assert_balanced()


def start_of_a_command(octets):
    """The first one after the middle. Zeros within a value would be a value too, and Redis would start with them."""
    return re.search(rb"\r\n\*\d+\r\n\$", octets[len(octets) // 2 :]).start() + len(octets) // 2 + 2


# proves: A10
def test_a_damaged_file_stops_redis_and_a_backup_brings_the_rest_back(tmp_path):
    """What redis-check-aof cuts off is lost, but for a copy: `store export`, and `store import` of it."""
    with RedisServer() as redis, ScriptedSink() as sink:
        settings = {"courier": {"routes": {"one.test": f"{HOST}:{sink.port}"}}}
        with Cluster(redis=redis, settings=settings) as cluster:
            host, port = cluster.addresses[0]
            for node in cluster.of("courier"):
                node.process.end()
            cluster.baridctl("send", "--server", f"{host}:{port}", "--to", "a@one.test", "--count", "60")
            file = tmp_path / "backup.barid"
            cluster.baridctl("store", "export", "*", "--file", file)
            redis.kill()
            path = append_only_file(redis)
            with open(path, "r+b") as aof:
                aof.seek(start_of_a_command(aof.read()))
                aof.write(b"\0" * 64)
            with pytest.raises(Exception):
                redis.start(timeout=5)
            assert "Bad file format" in redis.process.log_text()
            assert not any(node.is_ready() for node in cluster.of("ingress"))
            assert check_aof(redis, "--fix").returncode == 0
            redis.start()
            cluster.wait_ready()
            assert cluster.queue()["waiting"] < 60
            told = cluster.baridctl("store", "import", file, "--yes", "--json")
            assert cluster.queue()["waiting"] == 60, told
            for node in cluster.of("courier"):
                node.process.start()
            cluster.wait_empty()
            assert len(sink.taken()) == 60
