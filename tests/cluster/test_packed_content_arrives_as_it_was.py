"""
ingress.compression: zstd. What arrives is what was sent, whatever the setting was then and is now; what cannot be unpacked is held, with
no dot sent.
"""

import hashlib
import re
import struct

import corpus
import pytest
from post import Places, Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

MAGIC = b"\x28\xb5\x2f\xfd"
CHUNK = 262000
TEXT = b"the same line again and again\r\n" * 300
_RECEIVED = re.compile(rb"\AReceived: .*?\r\n(?![ \t])", re.DOTALL)
CONTENTS = {**corpus.small(), **corpus.edges(), **dict([corpus.large(3)])}


@pytest.fixture(scope="module")
def scene():
    places = Places(len(CONTENTS) + 30)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "ingress": {"compression": "zstd"},
                    "retry": {"first": "500ms", "longest": "500ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink, prefix="packed")
            post.places, post.redis, post.held = places, cluster.redis.client(), 0
            yield post
            post.assert_balanced(held=post.held)


def chunks(scene, letter, index=0):
    return sorted(scene.redis.scan_iter(f"b:*:{letter.message_id}.{index}:*", 10000))


def assert_exact(letter, copy):
    received = _RECEIVED.match(copy.content).group(0)
    end = b"" if letter.content.endswith(b"\r\n") else b"\r\n"
    assert copy.digest == hashlib.sha256(received + letter.content + end).hexdigest()


def deferred(scene, places, **more):
    """A letter that waits for its second try, and what lets it go."""
    rules = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), domain=place.domain) for place in places]
    letter = scene.send([place.address() for place in places], **more)
    scene.wait_told(letter, "deferred", len(places))
    return letter, rules


def set_compression(scene, how):
    ingress = scene.cluster.of("ingress")[0]
    before = ingress.log_text().count("event=config_loaded")
    scene.cluster.reload({"ingress": {"compression": how}})
    wait.until(lambda: ingress.log_text().count("event=config_loaded") > before, 10, "the new setting is in force")


# proves: G01
@pytest.mark.parametrize("name", sorted(CONTENTS))
def test_every_content_arrives_unchanged(scene, name):
    head, _, body = CONTENTS[name].partition(b"\r\n\r\n")
    fields = b"".join(line + b"\r\n" for line in head.split(b"\r\n") if not line.startswith((b"X-Ledger-Id", b" ", b"\t")))
    letter = scene.send(scene.places.take().address(), header=fields, body=body)
    assert_exact(letter, scene.wait_delivered(letter))


@pytest.mark.parametrize("now", ["none", "zstd"])
def test_what_was_stored_one_way_is_delivered_whatever_the_setting_is_now(scene, now):
    place = scene.places.take()
    letter, rules = deferred(scene, [place], body=TEXT)
    key, = chunks(scene, letter)
    stored = scene.redis.get(key)
    assert stored.startswith(MAGIC) and len(stored) < len(TEXT) / 10
    set_compression(scene, now)
    scene.sink.clear(*rules)
    assert_exact(letter, scene.wait_delivered(letter))
    other = scene.send(place.address("other"), body=TEXT)
    assert_exact(other, scene.wait_delivered(other))
    set_compression(scene, "zstd")


def test_a_report_brings_the_original_back_as_it_was(scene):
    place = scene.places.take()
    scene.sink.rule("rcpt", reply("550 5.1.1 nobody"), domain=place.domain)
    letter = scene.send(place.address(), body=TEXT)
    report = scene.wait_returned(letter)
    assert report.original.get_content_type() == "message/rfc822"
    assert letter.content in report.transaction.content


def test_jobs_with_a_copy_of_their_own_get_it_as_it_is_stored(scene):
    places = [scene.places.take() for _ in range(3)]
    letter, rules = deferred(scene, places, body=TEXT)
    copies = [scene.redis.get(chunks(scene, letter, n)[0]) for n in (1, 2, 3)]
    assert copies[0].startswith(MAGIC) and copies[1:] == copies[:1] * 2
    wait.until(lambda: chunks(scene, letter) == [], 10, "the parent has ended")
    scene.sink.clear(*rules)
    for place in places:
        assert_exact(letter, scene.wait_delivered(letter, place.address()))


def test_what_does_not_get_shorter_is_stored_as_it_is(scene):
    noise = b"".join(hashlib.sha512(b"%d" % n).digest().translate(None, b"\0\r\n") + b"\r\n" for n in range(200))
    letter, rules = deferred(scene, [scene.places.take()], body=noise)
    assert scene.redis.get(chunks(scene, letter)[0]).startswith(b"Received: ")
    scene.sink.clear(*rules)
    assert_exact(letter, scene.wait_delivered(letter))


def bomb(size):
    """A frame of so many equal octets, in a few kB."""
    blocks = [min(1 << 17, size - at) for at in range(0, size, 1 << 17)]
    return MAGIC + b"\xa0" + struct.pack("<I", size) + b"".join(
        struct.pack("<I", length << 3 | 1 << 1 | (n + 1 == len(blocks)))[:3] + b"x" for n, length in enumerate(blocks))


def flip(stored):
    return stored[:len(stored) // 2] + bytes([stored[len(stored) // 2] ^ 4]) + stored[len(stored) // 2 + 1:]


DAMAGE = {"a bit": flip, "cut": lambda stored: stored[:-1], "longer": lambda stored: stored + b"x", "another": lambda _: b"not packed at all",
          "twice": lambda stored: stored + stored, "bomb": lambda _: bomb(1 << 30), "little": lambda _: bomb(100), "empty": lambda _: b""}


# proves: A10 M06
@pytest.mark.parametrize("how, which", [(how, 1) for how in sorted(DAMAGE)] + [(how, which) for how in ("a bit", "bomb") for which in (0, -1)])
def test_content_that_cannot_be_unpacked_is_held(scene, how, which):
    place = scene.places.all[-1]
    letter, rules = deferred(scene, [place], body=TEXT * 80)
    keys = chunks(scene, letter)
    assert len(keys) == 3
    scene.redis.set(keys[which], DAMAGE[how](scene.redis.get(keys[which])))
    dots = len(scene.sink.dots())
    scene.sink.clear(*rules)
    line, = scene.wait_told(letter, "held")
    assert line["why"] in ("content cannot be read", "content is missing")
    scene.held += 1
    assert len(scene.sink.dots()) == dots and scene.reports(letter) == []
    assert all(node.process.alive() for node in scene.cluster.nodes)
