"""
One large message to many domains: its content is in Redis once and in no node whole, each domain gets a copy of its own, and whatever
happens to one of them the content stays until its last reader is gone, and no longer.
"""

import hashlib
import re

import corpus
import pytest
from post import Places, Post
from protocol.calls import Partition
from protocol.store import Store

from harness import paths, wait
from harness.cluster import Cluster, merged
from harness.sink import Gate, ScriptedSink, reply, stall

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

    def operator(self, verb, job):
        """One of the operator's calls for a job, found by its id alone."""
        key = next(self.redis.scan_iter(f"j:*:{job}", 10000)).decode()
        part = Partition(key[key.index("{") + 1:key.index("}")])
        return Store(self.redis).run(getattr(part, verb)(job, self.redis.hget(key, "q").decode()))

    def wait_no_content(self, timeout=30):
        wait.until(lambda: next(self.redis.scan_iter("b:*", 10000), None) is None, timeout, "no content left in the store")

    def assert_exact(self, letter, count):
        """So many domains have it, each exactly what was sent below one field of ours."""
        copies = self.post.copies(letter)
        assert len({recipient.rpartition("@")[2] for copy in copies for recipient in copy.recipients}) == count
        for copy in copies:
            received = _RECEIVED.match(copy.content).group(0)
            assert copy.size == len(received) + len(letter.content)
            assert copy.digest == hashlib.sha256(received + letter.content).hexdigest()


def scene(places, couriers=2, build=None, settings=None, **more):
    with ScriptedSink(places.hosts(), keep=1 << 16) as sink:
        with Cluster(couriers=couriers, build=build, settings=merged({"courier": {"routes": places.routes(sink.port)}}, settings), **more) as cluster:
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
    for s in scene(Places(30), build=plain, settings={"ingress": {"compression": "none"}}):  # every octet of it is there
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
        assert 0.9 * len(letter.content) < used < 1.1 * len(letter.content), "once"
        for name, mib in most.items():
            assert mib < PEAK_MIB[name.rstrip("0123456789")], f"{name} held {mib:.0f} MiB"
        gate.open()
        s.post.assert_balanced(timeout=60)
        s.assert_exact(letter, 30)
        s.wait_no_content()


# proves: A10 M02
@pytest.mark.parametrize("large", [{"ingress": {"compression": how}} for how in ("none", "zstd")], indirect=True, ids=["plain", "zstd"])
def test_the_parent_waits_for_a_domain_that_defers_and_reports_one_that_fails(large):
    """One of six defers for a while, one refuses: content stays once for the slow one, and the report has headers only."""
    slow, bad = large.places.all[0], large.places.all[1]
    rule = large.sink.rule("rcpt", reply("450 4.2.0 not now"), domain=slow.domain)
    large.sink.rule("rcpt", reply("550 5.1.1 nobody"), domain=bad.domain)
    letter = large.send(addresses(large.places, 12), 8)
    large.post.wait_told(letter, "deferred", 3)
    wait.until(lambda: len(large.post.copies(letter)) == 4, 60, "the other four have it")
    report = large.post.wait_returned(letter)
    assert sorted(report.recipients) == sorted(bad.address(f"r{n}") for n in (1, 7))
    assert report.original.get_content_type() == "text/rfc822-headers" and report.transaction.size < 65536
    wait.until(lambda: b"y" in large.parent(letter), 20, "the parent waits")
    assert len(large.chunks(letter)) == -(-len(letter.content) // CHUNK), "all of it, once"
    large.sink.clear(rule)
    large.post.assert_balanced(timeout=60)
    large.assert_exact(letter, 5)
    large.wait_no_content()


# proves: J10
def test_content_outlives_a_parent_that_the_operator_deletes(large):
    """What was carried is delivered; the content goes after the last of it."""
    slow = large.places.all[0]
    rule = large.sink.rule("rcpt", reply("450 4.2.0 not now"), domain=slow.domain)
    letter = large.send(addresses(large.places, 6), 4)
    large.post.wait_told(letter, "deferred")
    wait.until(lambda: len(large.post.copies(letter)) == 5, 60, "the others have it")
    job = f"{letter.message_id}.0"
    assert large.operator("delete", job) == b"later"
    large.post.wait_told(letter, "deferred", 3)
    assert large.chunks(letter), "a reader is left"
    large.sink.clear(rule)
    large.post.assert_balanced(timeout=60)
    large.assert_exact(letter, 6)
    large.wait_no_content()


# proves: A02 A10
def test_a_courier_killed_in_the_middle_costs_no_octet(large):
    """Every domain has the whole content once more or for the first time: none has a part of it."""
    gate = Gate()
    large.sink.rule("body", stall(gate=gate), times=6)
    letter = large.send(addresses(large.places, 12), 8)
    gate.wait_held(6, timeout=60)
    victim = next(node for node in large.cluster.of("courier") if node.metrics().get("barid_connections", 0) > 0)
    large.cluster.kill(victim)
    gate.open()
    large.cluster.restart(victim)
    large.post.assert_balanced(timeout=90)
    large.assert_exact(letter, 6)
    large.wait_no_content()


# proves: A10 A11
@pytest.mark.parametrize("large", [{"retry": {"first": "700ms", "longest": "700ms"}}], indirect=True)
def test_a_missing_chunk_of_kept_content_holds_all_its_readers(large):
    """No dot behind a part. The parent waits for them, and content goes when the operator has deleted them."""
    rule = large.sink.rule("rcpt", reply("450 4.2.0 not now"))
    letter = large.send(addresses(large.places, 6), 4)
    large.post.wait_told(letter, "deferred", 6)
    large.redis.delete(large.chunks(letter)[3])
    large.sink.clear(rule)
    wait.until(lambda: large.cluster.queue()["held"] == 6, 30, lambda: f"six held; {large.cluster.queue()}")
    assert large.sink.dots() == []
    assert {line["why"] for line in large.post.told(letter, "held")} == {"content is missing"}
    assert b"w" in large.parent(letter), "it waits for its readers"
    for n in range(1, 7):
        assert large.operator("delete", f"{letter.message_id}.{n}") == b"deleted"
    large.post.dropped |= {(letter.ledger_id, recipient) for recipient in letter.recipients}
    large.post.assert_balanced(timeout=60)
    large.wait_no_content()


def test_a_thousand_recipients_in_three_hundred_domains():
    """Small content travels with each job: the parent ends as soon as all are there."""
    domains = [f"d{n}.test" for n in range(300)]
    with ScriptedSink([f"127.0.0.{n}" for n in range(1, 9)]) as sink:
        routes = {domain: f"127.0.0.{n % 8 + 1}:{sink.port}" for n, domain in enumerate(domains)}
        with Cluster(couriers=2, settings={"courier": {"routes": routes}}) as cluster:
            s = Scene(cluster, sink, None)
            letter = s.post.send([f"r{n}@{domains[n % 300]}" for n in range(1000)])
            s.post.wait_told(letter, "expanded")
            s.post.assert_balanced(timeout=60)
            s.assert_exact(letter, 300)
            assert len(s.post.copies(letter)) == 300, "one transaction for each"
            assert s.parent(letter) == {} and s.post.told(letter, "in_doubt") == []
            s.wait_no_content()


# proves: M02 J09
@pytest.mark.parametrize("large", [{"courier": {"max_content": "4MiB"}}], indirect=True)
def test_large_mail_that_does_not_move_takes_little_memory_and_is_in_nobodys_way(large):
    """Of forty messages for a host that stalls, no more come into memory than the setting lets one queue have."""
    stuck, other = large.places.all[0], large.places.all[1]
    gate = Gate()
    large.sink.rule("data", stall(gate=gate), domain=stuck.domain)
    waiting = [large.send([stuck.address()], 1) for _ in range(40)]
    gate.wait_held()
    for _ in range(3):
        large.post.wait_delivered(large.send([other.address()], 3))
    for node in large.cluster.of("courier"):
        assert node.metrics()["barid_content_bytes"] <= 4 << 20
    assert not any(large.post.copies(letter) for letter in waiting)
    gate.open()
    large.post.assert_balanced(timeout=60)
    wait.until(lambda: large.cluster.metric("barid_content_bytes") == 0, 10, "no content in memory")
