"""
A Redis Cluster of three primaries is resharded under load: slots of busy partitions, of parents with children, and of the cluster's common keys
go back and forth. Nothing is lost, nothing is delivered twice, nothing stays behind; how long each partition stood still is printed.
"""

import os
import statistics
import threading
import time

import redis as client

from harness import wait
from harness.generator import Generator, content
from harness.replicas import RedisCluster
from harness.slots import COMMON_SLOT, partition_slot, partition_tag, slot_of

from hurt import DOMAINS, SEED, Scene

SECONDS = float(os.environ.get("MINUTES", "0.5")) * 60
LARGE = 110000  # to four queues: the parent keeps the content
_LOOK = "return redis.call('exists', KEYS[1], KEYS[2])"


def message(rng, prefix):
    """One to four recipients, some of whom are deferred or refused; and a few large ones, whose parents wait for their children."""
    def make(number):
        is_large = rng.random() < 0.02
        domains = rng.sample(DOMAINS, 4) if is_large else rng.choices(DOMAINS, k=rng.choice([1, 1, 2, 3, 4]))
        recipients = [f"{rng.choice(['r', 'r', 'r', 'no', 'later'])}{number}-{place}@{domain}" for place, domain in enumerate(domains)]
        return "s@origin.test", recipients, content(f"{prefix}-{number}", "s@origin.test", recipients, LARGE if is_large else 1500)
    return make


class Stillness:
    """A client of one slot, for as long as the slot moves: how long it was refused, as any script of that partition would have been."""

    def __init__(self, redis, slot, tag):
        self.redis, self.slot, self.keys = redis, slot, (f"d:{{{tag}}}", f"never:{{{tag}}}")
        self.longest = 0.0
        self._links = {server: client.Connection(host=server.ip, port=server.port, socket_timeout=10) for server in redis.servers}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._at = self.redis.owner_of_slot(self.slot)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join(30)
        for link in self._links.values():
            link.disconnect()

    def _ask(self, server, is_asking=False):
        """The words of an error; [""] when it was done."""
        link = self._links[server]
        try:
            if is_asking:
                link.send_command("ASKING")
                link.read_response()
            link.send_command("EVAL", _LOOK, 2, *self.keys)
            link.read_response()
            return [""]
        except client.exceptions.ResponseError as error:
            return str(error).split()

    def _is_refused(self):
        words = self._ask(self._at)
        if words[0] in ("MOVED", "ASK"):
            other = self.redis.server(int(words[2].rpartition(":")[2]))
            if words[0] == "MOVED":
                self._at = other
            words = self._ask(other, is_asking=words[0] == "ASK")
        return words != [""]

    def _run(self):
        since = None
        while not self._is_over.wait(0.001) or since is not None:
            now = time.monotonic()
            if self._is_refused():
                since = since or now
            elif since is not None:
                self.longest, since = max(self.longest, time.monotonic() - since), None


class Resharding(Scene):
    """A scene on a Redis Cluster whose slots move."""

    def __init__(self, seed, **cluster):
        self.redis = RedisCluster(primaries=3, replicas=0)
        super().__init__(seed, redis=self.redis, **cluster)
        self.rows = []

    def __enter__(self):
        self.redis.__enter__()
        return super().__enter__()

    def __exit__(self, *how):
        try:
            super().__exit__(*how)
        finally:
            self.redis.__exit__(*how)

    def load(self):
        prefix = f"{self.rng.getrandbits(32):08x}"
        return Generator(self.cluster.addresses, message(self.rng, prefix), sessions=30, rate=80, linger=0.02, prefix=prefix, seed=self.rng.random(),
                         reply_timeout=60)

    def each(self, pattern):
        """(server, client, key) of every key of that pattern."""
        for server in self.redis.servers:
            with server.client(decode_responses=True) as redis:
                for key in redis.scan_iter(pattern, count=1000):
                    yield server, redis, key

    def busy_slots(self):
        """Those of the common keys, of every domain's queue, and of parents that are there now."""
        found = {}

        def is_known():
            for _, _, key in self.each("q:*"):
                found[key.split(":", 2)[2]] = slot_of(key)
            return all(domain in found for domain in DOMAINS)
        wait.until(is_known, 60, lambda: f"a queue of each domain, there are {sorted(found)}")
        queues = {slot for queue, slot in found.items() if queue != "#fanout"}
        parents = {slot_of(key) for _, _, key in self.each("q:*:#fanout")}
        return sorted(queues), sorted(parents - queues)

    def reshard(self, seconds):
        """Until the time is over: one of the busy slots after another to another primary."""
        queues, _ = self.busy_slots()
        tags = {partition_slot(number): partition_tag(number) for number in range(256)}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            parents = sorted({slot_of(key) for _, _, key in self.each("q:*:#fanout")})
            slot = self.rng.choice([COMMON_SLOT, self.rng.choice(queues), self.rng.choice(queues), self.rng.choice(parents or queues)])
            source = self.redis.owner_of_slot(slot)
            target = self.rng.choice([server for server in self.redis.servers if server is not source])
            with Stillness(self.redis, slot, "c" if slot == COMMON_SLOT else tags[slot]) as still:
                moved, = self.redis.move_slots([slot], source, target, self.rng)
            kind = "common keys" if slot == COMMON_SLOT else "queues" if slot in queues else "parents"
            self.rows.append((kind, moved, still.longest))
            print(f"{kind}: {moved}; it stood still for {still.longest * 1000:.0f} ms", flush=True)

    def hasten_parents(self):
        """Parents look at once whether children are left, instead of in a minute."""
        for _, redis, key in self.each("q:*:#fanout"):
            tag = key[3:key.index("}")]
            for job in redis.zrange(key, 0, -1):
                redis.zadd(key, {job: 1}, xx=True)
                redis.zadd(f"d:{{{tag}}}", {"#fanout": 1})

    def settle(self):
        self.generator.stop()

        def is_empty():
            self.hasten_parents()
            queue = self.cluster.queue()
            return queue["waiting"] == queue["claimed"] == 0
        wait.until(is_empty, 120, lambda: f"an empty queue, it is {self.cluster.queue()}: {[key for _, _, key in self.each('[jqch]:*')][:20]}",
                   pause=0.3)
        return super().settle()

    def left(self):
        """Keys of jobs, places and content that nobody will take away, wherever they are."""
        return [f"{key} at {server.name}" for server, redis, key in self.each("[jqchb]:*") if key[0] != "b" or redis.ttl(key) == -1]

    def print_summary(self):
        for kind in ("common keys", "queues", "parents"):
            still = [longest for name, _, longest in self.rows if name == kind]
            if still:
                print(f"{kind}: {len(still)} moves, {sum(moved.keys for name, moved, _ in self.rows if name == kind)} keys; stood still: median "
                      f"{statistics.median(still) * 1000:.0f} ms, longest {max(still) * 1000:.0f} ms")
        print("longest a client waited: " + ", ".join(f"{verb or 'greeting'} {seconds:.2f} s" for verb, seconds in self.generator.longest.items()),
              flush=True)


# proves: A01 A05
def test_slots_that_move_lose_nothing():
    with Resharding(SEED) as scene:
        scene.more(100)
        scene.reshard(SECONDS)
        ledger = scene.settle()
        scene.print_summary()
        assert {kind for kind, _, _ in scene.rows} >= {"common keys", "queues"} and not scene.left()
        ledger.assert_balanced()
