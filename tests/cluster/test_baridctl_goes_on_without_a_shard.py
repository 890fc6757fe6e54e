"""
One primary of a Redis Cluster is away: baridctl tells what the others know, within its time, says what is missing, and gives orders where they can be
obeyed. First a primary that has none of the common keys, stopped, so that it takes connections and says nothing; then the one that has them, killed.
"""

import concurrent.futures
import json
import subprocess
import time

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.replicas import RedisCluster
from harness.sink import ScriptedSink, reply
from harness.slots import partition_of, partition_slot

CTL = paths.program("baridctl")
PARTLY = 3
PATIENCE = 5 + 10  # what the program promises, and what a busy machine takes
# Those that look everywhere miss something; the others only if what they are asked about is away.
EVERYWHERE = [("status",), ("top", "--once"), ("queue", "list"), ("queue", "list", "--held"), ("node", "list"), ("partition", "list"), ("events",),
              ("store", "memory")]
ONE = [("queue", "show", "{safe}"), ("why", "{safe}"), ("trace", "{letter}"), ("msg", "show", "{letter}"), ("why", "{letter}"), ("rules", "list"),
       ("limit", "show"), ("site", "show", "{safe}")]
JUDGE = [("store", "check"), ("doctor",)]  # what they find is wrong


class Scene:
    def __init__(self, redis, cluster):
        self.redis, self.cluster = redis, cluster
        self.common = redis.owner()
        self.victim = next(server for server in redis.owners() if server is not self.common)
        self.hurt_slots = set(redis.slots_of(self.victim))
        self.common_slots = set(redis.slots_of(self.common))
        self.letters = {}

    def domains(self, slots, count, inside=True):
        names = (f"d{n}.away.test" for n in range(1000))
        found = [name for name in names if (partition_slot(partition_of(name)) in slots) == inside]
        return found[:count]

    def send(self, domain):
        host, port = self.cluster.addresses[0]
        sent = json.loads(self.cluster.baridctl("send", "--server", f"{host}:{port}", "--json", "--from", "s@shop.test", "--to", f"x@{domain}"))
        self.letters[domain] = sent["messages"][0]

    def run(self, *words, status=0, patience=PATIENCE):
        start = time.monotonic()
        done = subprocess.run([CTL, "--config", self.cluster.conf, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, check=False)
        said = done.stderr.decode()
        assert done.returncode in (status if isinstance(status, tuple) else (status,)), (words, done.returncode, done.stdout.decode()[-500:], said)
        assert time.monotonic() - start < patience, (words, time.monotonic() - start)
        return done.stdout.decode(), said

    def waiting(self, domain):
        return json.loads(self.run("queue", "show", domain, "--json")[0])["waiting"]


@pytest.fixture(scope="module")
def scene():
    with RedisCluster(primaries=3, replicas=0) as redis, ScriptedSink() as sink:
        sink.rule("rcpt", reply("450 4.2.1 later"))
        settings = {"courier": {"routes": {".away.test": f"127.0.0.1:{sink.port}"}}, "retry": {"first": "600s", "longest": "600s"}}
        with Cluster(redis=redis, settings=settings) as cluster:
            made = Scene(redis, cluster)
            made.safe = [name for name in made.domains(made.hurt_slots, 900, inside=False)
                         if partition_slot(partition_of(name)) not in made.common_slots][:3]
            made.hurt = made.domains(made.hurt_slots, 2)
            for domain in made.safe + made.hurt:
                made.send(domain)
            wait.until(lambda: cluster.queue()["waiting"] == 5 and cluster.queue()["due"] == 0, 30, lambda: f"all wait: {cluster.queue()}")
            yield made


def words_of(scene, words):
    return [word.format(safe=scene.safe[0], letter=scene.letters[scene.safe[0]]) for word in words]


def check_read(scene, words, server, partitions):
    """In both forms it says what it misses; events prints a line for each, and has no one object."""
    status = PARTLY if words in EVERYWHERE else (0, PARTLY)
    text, said = scene.run(*words_of(scene, words), status=status)
    if words in EVERYWHERE:
        assert server.address in said and "did not answer" in said, (words, said)
        assert text.strip() or words[-1] == "--held", words
    if words[0] != "events":
        text, said = scene.run(*words_of(scene, words), "--json", status=status)
        told = json.loads(text)
        assert ("away" in told) == bool(said), (words, told, said)
        assert not said or (told["away"] == [server.address] and set(told["away_partitions"]) <= partitions), words


def check_judge(scene, words, server):
    text, _ = scene.run(*words, status=1, patience=PATIENCE + 15)
    assert server.address in text and "away with it are partitions" in text, (words, text)


def check_reads(scene, server, partitions):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        work = [pool.submit(check_read, scene, words, server, partitions) for words in EVERYWHERE + ONE]
        work += [pool.submit(check_judge, scene, words, server) for words in JUDGE]
        for one in work:
            one.result()


def partitions_in(slots):
    return {partition for partition in range(256) if partition_slot(partition) in slots}


def test_a_shard_that_says_nothing(scene):
    away = partitions_in(scene.hurt_slots)
    scene.redis.freeze(scene.victim)
    try:
        check_reads(scene, scene.victim, away)
        told = json.loads(scene.run("status", "--json", status=PARTLY)[0])
        assert not told["ready"] and scene.victim.address in told["why_not"] and set(told["away_partitions"]) == away
        assert told["queue"]["waiting"] == 3 and {node["role"] for node in told["nodes"]} == {"ingress", "dispatcher", "courier"}
        # Of one that is away nothing is said that nobody can know.
        lost = scene.letters[scene.hurt[0]]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(scene.run, *words, status=PARTLY)
                     for words in (("queue", "show", scene.hurt[0]), ("why", scene.hurt[0]), ("why", lost), ("trace", lost))]
            assert not any("never here" in one.result()[1] for one in asked)
        # An order to one that is there is as ever; to one that is away it names what is; to all it is done where it can be, and counted.
        told = json.loads(scene.run("queue", "hold", scene.safe[0], "--yes", "--json", status=0)[0])
        assert told["done"] == 1 and "away" not in told
        before = len(json.loads(scene.run("rules", "list", "--json")[0])["rules"])
        text, said = scene.run("queue", "hold", scene.hurt[0], "--yes", status=PARTLY)
        assert scene.victim.address in said and str(partition_of(scene.hurt[0])) in said and not text
        assert len(json.loads(scene.run("rules", "list", "--json")[0])["rules"]) == before
        told = json.loads(scene.run("queue", "hold", "*", "--dry-run", "--json", status=PARTLY)[0])
        assert told["jobs"] == 2 and set(told["away_partitions"]) == away
        told = json.loads(scene.run("queue", "hold", "*", "--yes", "--json", status=PARTLY)[0])
        assert told["done"] == told["jobs"] == 2 and set(told["away_partitions"]) == away
        rule = next(rule for rule in json.loads(scene.run("rules", "list", "--json")[0])["rules"] if rule["rule"] == told["rule"])
        assert rule["jobs"] == 2
        scene.run("msg", "release", scene.letters[scene.safe[1]], "--yes")
    finally:
        scene.redis.thaw(scene.victim)
    scene.redis.wait_ready()
    told = json.loads(wait.until(lambda: whole(scene), 30, "all answer"))
    assert "away" not in told and told["queue"]["held"] == 2
    assert all(scene.waiting(domain) == 1 for domain in scene.hurt)
    scene.run("undo", rule["rule"], "--yes")


def whole(scene):
    done = subprocess.run([CTL, "--config", scene.cluster.conf, "status", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode() if done.returncode == 0 and json.loads(done.stdout)["ready"] else None


def test_the_shard_of_the_common_keys(scene):
    scene.redis.kill(scene.common)
    try:
        check_reads(scene, scene.common, partitions_in(scene.common_slots))
        told = json.loads(scene.run("status", "--json", status=PARTLY)[0])
        assert "which nodes work cannot be told" in told["why_not"] and "no courier works" not in told["why_not"]
        told = json.loads(scene.run("queue", "list", "--json", status=PARTLY)[0])
        assert {queue["queue"] for queue in told["queues"]} >= {scene.safe[1], *scene.hurt}
        said = scene.run("queue", "hold", scene.safe[1], "--yes", status=PARTLY)[1]
        assert "common keys" in said and "nothing was done" in said
        assert "cannot be looked at" in scene.run("rules", "show", "r1", status=1)[1]
    finally:
        scene.redis.restart(scene.common)
    scene.redis.wait_ready()
    assert "away" not in json.loads(wait.until(lambda: whole(scene), 30, "all answer"))
