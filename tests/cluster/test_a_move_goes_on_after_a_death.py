"""
`store export --move` and the import at its other end, killed before each of their writes that change something: at every moment each job is workable in one store at most,
and in one at least held; the same move again ends with all of them there and none here.
"""

import json
import os
import shutil
import subprocess

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.redis import RedisServer
from harness.sink import ScriptedSink, reply

HOST = "127.0.0.1"
DOMAINS = ("later.test", "other.test", "far.test")


def send(cluster, *arguments):
    host, port = cluster.addresses[0]
    sent = json.loads(cluster.baridctl("send", "--server", f"{host}:{port}", "--json", *arguments, timeout=120))
    assert sent["refused"] == 0, sent
    return sent["messages"]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """The folder of a Redis with a queue: waiting jobs, a held one, one in pieces, a message whose jobs share its content."""
    folder = tmp_path_factory.mktemp("snapshot")
    big = folder / "big.eml"
    big.write_bytes(b"Subject: large\r\n\r\n" + os.urandom(400000).hex().encode().replace(b"0", b"0\r\n"))
    with ScriptedSink() as sink:
        sink.rule("rcpt", reply("450 4.2.1 come again"))
        settings = {"courier": {"routes": {domain: f"{HOST}:{sink.port}" for domain in DOMAINS}},
                    "retry": {"first": "300s", "longest": "300s"}}
        with Cluster(settings=settings) as cluster:
            send(cluster, "--to", "x@later.test", "--count", "3")
            send(cluster, "--from", "hold@a.test", "--to", "y@other.test")
            send(cluster, "--to", "z@later.test", "--file", big)
            send(cluster, "--to", "p@later.test", "--to", "q@other.test", "--to", "r@far.test", "--file", big)
            send(cluster, "--to", "p@later.test", "--to", "q@other.test")
            def are_tried():
                with cluster.redis.client(decode_responses=True) as redis:
                    jobs = len(list(redis.scan_iter("j:*")))
                return (jobs, cluster.queue()["claimed"], cluster.queue()["due"]) == (11, 0, 0)
            wait.until(are_tried, 60, lambda: f"all are put off: {cluster.queue()}")
            cluster.baridctl("queue", "hold", "other.test", "--sender", "hold@a.test", "--yes")
            for node in cluster.nodes:
                node.process.end()
            cluster.redis.stop()
            shutil.copytree(os.path.join(cluster.folder, "redis", "appendonlydir"), folder / "appendonlydir")
    return folder


class Stores:
    """Two stores without a cluster: one with the queue of the snapshot, one empty."""

    def __init__(self, snapshot, build=None):
        self.build = build or paths.BUILD
        self.folder = paths.scratch("stores")
        self.servers = {}
        for name in ("here", "there"):
            folder = os.path.join(self.folder, name)
            os.makedirs(folder)
            if name == "here":
                shutil.copytree(snapshot / "appendonlydir", os.path.join(folder, "appendonlydir"))
            self.servers[name] = RedisServer(folder, name=name)
            with open(self.conf(name), "w") as file:
                file.write(f"store: {{address: \"{self.servers[name].url}\"}}\n")

    def conf(self, name):
        return os.path.join(self.folder, f"{name}.yaml")

    def __enter__(self):
        for server in self.servers.values():
            server.start()
        return self

    def __exit__(self, kind, *_):
        for server in self.servers.values():
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name, *arguments, environment=None):
        program = os.path.join(self.build, "bin", "baridctl")
        return subprocess.run([program, "--config", self.conf(name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, env={**os.environ, **(environment or {})}, check=False)

    def jobs(self, name):
        """Job -> "waiting", "held" or "claimed"; those that end by themselves are left out."""
        found = {}
        with self.servers[name].client(decode_responses=True) as redis:
            ending = {key.split(":", 2)[2] for key in redis.scan_iter("j:*") if redis.hget(key, "f") == "delete"}
            for pattern, place in (("q:*", "waiting"), ("h:*", "held"), ("c:*", "claimed")):
                for key in redis.scan_iter(pattern):
                    for job, score in redis.zrange(key, 0, -1, withscores=True):
                        assert job not in found, f"{job} is in two places of one store"
                        found[job] = "parked" if score > 3e12 else place
        return {job: place for job, place in found.items() if job not in ending}


def check_never_twice(stores, wanted):
    here, there = stores.jobs("here"), stores.jobs("there")
    assert set(here) | set(there) == wanted, f"lost: {wanted - set(here) - set(there)}"
    for job in set(here) & set(there):
        assert here[job] == "held", f"{job} is {here[job]} here and {there[job]} there"


def killed_at(library, number, of):
    return {"LD_PRELOAD": library, "KILL_AT": str(number), "KILL_OF": of,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def walk(snapshot, of, arguments, step, build=None, finish=None):
    """Kills at each step until one run needs no more; returns how many there were."""
    library = paths.compiled("kill_at.c", "kill_at.so", "-shared", "-fPIC", "-ldl")
    number, deaths = 1, 0
    while True:
        with Stores(snapshot, build) as stores:
            wanted = set(stores.jobs("here"))
            assert len(wanted) == 11
            done = stores.run("here", *arguments(stores, "first"), environment=killed_at(library, number, of))
            is_over = done.returncode == 0
            assert number > 1 or not is_over, "it was killed before it began"
            deaths += not is_over
            if finish:
                finish(stores, wanted)
            else:
                check_never_twice(stores, wanted)
                again = stores.run("here", *arguments(stores, "second"))
                assert again.returncode == 0, f"killed at {number}: {again.stdout.decode()}"
                check_never_twice(stores, wanted)
                assert (set(stores.jobs("here")), set(stores.jobs("there"))) == (set(), wanted), f"killed at {number}"
                places = sorted(stores.jobs("there").values())
                assert places == ["held"] + ["waiting"] * 10, f"killed at {number}: {places}"
            if is_over:
                return deaths
            number += step


def into_store(stores, _):
    return "store", "export", "*", "--move", "--to", stores.conf("there"), "--yes", "--wait", "1s"


# proves: A01
@pytest.mark.parametrize("of", ["export", "import"])
def test_a_move_into_a_store_goes_on(snapshot, of):
    deaths = walk(snapshot, of, into_store, 1)
    print(f"{deaths} deaths of {of}")
    assert deaths > 8


def into_file(stores, which):
    return "store", "export", "*", "--move", "--file", os.path.join(stores.folder, which), "--yes", "--wait", "1s"


def import_all(stores, wanted):
    """What the first file holds of a move that was broken off, and then the rest."""
    first = os.path.join(stores.folder, "first")
    is_whole = os.path.exists(first) and stores.run("there", "store", "import", first, "--dry-run").returncode == 0
    again = stores.run("here", *into_file(stores, "second"))
    assert again.returncode == 0, again.stdout.decode()
    assert not stores.jobs("here")
    if os.path.exists(first):
        done = stores.run("there", "store", "import", first, "--yes", *([] if is_whole else ["--partial"]))
        assert done.returncode == 0 or b"0 jobs" in done.stdout, done.stdout.decode()
    done = stores.run("there", "store", "import", os.path.join(stores.folder, "second"), "--yes")
    assert done.returncode == 0, done.stdout.decode()
    assert set(stores.jobs("there")) == wanted


# proves: A01
def test_a_move_into_a_file_goes_on(snapshot):
    deaths = walk(snapshot, "export", into_file, 1, finish=import_all)
    print(f"{deaths} deaths of export")
    assert deaths > 8


# proves: A01
def test_a_careless_move_is_found(snapshot):
    """Jobs that are not put aside first can be worked in both stores."""
    build = paths.built("plant-move_without_hold", "PLANT=move_without_hold", program="baridctl")
    with pytest.raises(AssertionError, match="waiting here and waiting there"):
        walk(snapshot, "export", into_store, 1, build)
