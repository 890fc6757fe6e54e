"""
One large message to many domains: its content is in Redis once and in no node whole, each domain gets a copy of its own, and whatever
happens to one of them the content stays until its last reader is gone, and no longer.
"""

import hashlib
import re

import corpus
import pytest
from post import Places, Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, drop, reply, stall

CHUNK = 262000
MEGABYTES = 49
PEAK_MIB = {"ingress": 40, "dispatcher": 24, "courier": 64}
_RECEIVED = re.compile(rb"\AReceived: .*?\r\n(?![ \t])", re.DOTALL)


class Scene:
    """A cluster between a client and a sink that keeps no content, only what each was."""

    def __init__(self, cluster, sink, places):
        self.cluster, self.sink, self.places = cluster, sink, places
        self.post = Post(cluster, sink, prefix="large")
        self.redis = cluster.redis.client()

    def send(self, recipients, megabytes):
        _, content = corpus.large(megabytes)
        return self.post.send(recipients, body=content.partition(b"\r\n\r\n")[2])

    def chunks(self, letter):
        return sorted(self.redis.scan_iter(f"b:*:{letter.message_id}.0:*", 10000))

    def parent(self, letter):
        """The fields of the parent's record; {} when it has ended."""
        key = next(self.redis.scan_iter(f"j:*:{letter.message_id}.0", 10000), None)
        return self.redis.hgetall(key) if key else {}

    def wait_no_content(self, timeout=30):
        wait.until(lambda: next(self.redis.scan_iter("b:*", 10000), None) is None, timeout, "no content left in the store")

    def assert_exact(self, letter, count):
        """So many copies came, each exactly what was sent below one field of ours."""
        copies = self.post.copies(letter)
        assert len(copies) == count
        for copy in copies:
            received = _RECEIVED.match(copy.content).group(0)
            assert copy.size == len(received) + len(letter.content)
            assert copy.digest == hashlib.sha256(received + letter.content).hexdigest()


def scene(places, couriers=2, build=None, settings=None, **more):
    with ScriptedSink(places.hosts(), keep=1 << 16) as sink:
        with Cluster(couriers=couriers, build=build, settings={"courier": {"routes": places.routes(sink.port)}, **(settings or {})}, **more) as cluster:
            yield Scene(cluster, sink, places)


@pytest.fixture
def large(request):
    """With the settings that a test names."""
    yield from scene(Places(6), settings=getattr(request, "param", None))


def peaks(cluster):
    """{node: its largest resident size so far, MiB}"""
    found = {}
    for node in cluster.nodes:
        with open(f"/proc/{node.pid}/status") as status:
            found[node.name] = int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) / 1024
    return found


def addresses(places, count):
    return [place.address(f"r{n}") for n, place in ((n, places.all[n % len(places.all)]) for n in range(count))]


# proves: M02
def test_fifty_megabytes_to_thirty_domains_stay_within_bounds():
    plain = paths.BUILD.partition("/san-")[0]  # a sanitizer keeps what was freed
    for s in scene(Places(30), build=plain):
        before = s.redis.info("memory")["used_memory"]
        gate = Gate()
        s.sink.rule("dot", stall(gate=gate))
        letter = s.send(addresses(s.places, 100), MEGABYTES)
        gate.wait_held(30, timeout=120)
        used = s.redis.info("memory")["used_memory"] - before
        most = peaks(s.cluster)
        print(f"content {len(letter.content) >> 20} MiB, in Redis {used >> 20} MiB, peaks "
              + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in most.items()))
        assert len(s.chunks(letter)) == -(-len(letter.content) // CHUNK)
        assert used < 1.1 * len(letter.content), "once"
        for name, mib in most.items():
            assert mib < PEAK_MIB[name.rstrip("0123456789")], f"{name} held {mib:.0f} MiB"
        gate.open()
        s.post.assert_balanced(timeout=60)
        s.assert_exact(letter, 30)
        s.wait_no_content()
