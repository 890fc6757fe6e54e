"""What cannot be read or is not all there is put aside for the operator: not delivered in part, not deleted, and in nobody's way."""

import pytest
from post import Places, Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

LARGE = (b"x" * 70 + b"\r\n") * 12000


@pytest.fixture(scope="module")
def scene():
    places = Places(30)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "retry": {"first": "700ms", "longest": "700ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places, post.redis, post.held = places, cluster.redis.client(), 0
            yield post
            post.assert_balanced(held=post.held)


def waiting(scene, place, **more):
    """A letter that waits for its second try: its key in the store, and what lets it go."""
    rules = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), host=host) for host in (place.first, place.second)]
    letter = scene.send(place.address(), **more)
    scene.wait_told(letter, "deferred")
    key = wait.until(lambda: next((k for k in scene.redis.scan_iter(f"j:*:{letter.message_id}.0", 1000) if not scene.redis.hexists(k, "k")), None), 10,
                     "it waits in the store")
    return letter, key, rules


def is_held(scene, letter, key):
    """It is in the index of held jobs of its partition."""
    tag = key.split(b":")[1]
    return scene.redis.zscore(b"h:" + tag, f"{letter.message_id}.0") is not None


def assert_held(scene, letter, key, place, rules):
    """Held, with nothing of it sent; other mail of the same queue flows."""
    scene.sink.clear(*rules)
    wait.until(lambda: is_held(scene, letter, key), 20, lambda: f"held; {scene.told(letter)[-3:]} {scene.cluster.queue()}")
    scene.held += 1
    dots = [t for t in scene.sink.dots() if t.session.host in (place.first, place.second)]
    assert dots == []
    scene.wait_delivered(scene.send(place.address("after")))
    assert scene.copies(letter) == [] and scene.reports(letter) == []
    assert {"held", "record_refused"} & {line["event"] for line in scene.told(letter)}
    assert all(node.process.alive() for node in scene.cluster.nodes)
    assert scene.cluster.queue()["held"] == scene.held, "the operator sees it"


# proves: A10 M06
@pytest.mark.parametrize("field, value", [
    ("e", b""), ("e", b"\x01"), ("e", b"garbage" * 100), ("e", b"\xff" * 20000), ("s", b""), ("s", b"\x01\x00\x00\x00\x00"), ("s", b"\xff" * 64)],
    ids=lambda value: str(value)[:12])
def test_a_garbled_record_is_held_and_others_flow(scene, field, value):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place)
    scene.redis.hset(key, field, value)
    assert_held(scene, letter, key, place, rules)


# proves: A10 M06
@pytest.mark.parametrize("field", ["e", "s"])
def test_one_wrong_bit_is_noticed(scene, field):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place)
    record = bytearray(scene.redis.hget(key, field))
    record[len(record) // 2] ^= 0x10
    scene.redis.hset(key, field, bytes(record))
    assert_held(scene, letter, key, place, rules)


# proves: A10 M06
def test_a_record_under_another_jobs_name_is_held(scene):
    place, other = scene.places.take(), scene.places.take()
    letter, key, rules = waiting(scene, place)
    stranger, stranger_key, stranger_rules = waiting(scene, other)
    scene.redis.hset(key, "e", scene.redis.hget(stranger_key, "e"))
    scene.sink.clear(*stranger_rules)
    scene.wait_delivered(stranger)
    assert_held(scene, letter, key, place, rules)
    assert len(scene.copies(stranger)) == 1


def chunks(scene, letter):
    return sorted(scene.redis.scan_iter(f"b:*:{letter.message_id}.0:*", 1000))


# proves: A10 A11
@pytest.mark.parametrize("which", [0, 1, -1])
def test_missing_content_gets_no_dot(scene, which):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place, body=LARGE)
    keys = chunks(scene, letter)
    assert len(keys) == 4
    scene.redis.delete(keys[which])
    assert_held(scene, letter, key, place, rules)


# proves: A10
@pytest.mark.parametrize("which", [0, -1])
def test_shortened_content_gets_no_dot(scene, which):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place, body=LARGE)
    chunk = chunks(scene, letter)[which]
    scene.redis.set(chunk, scene.redis.get(chunk)[:-10])
    assert_held(scene, letter, key, place, rules)


# proves: M06
@pytest.mark.parametrize("field, value", [("n", b"999999999999"), ("n", b"-1"), ("n", b"x"), ("x", b"99999999999999999999"), ("x", b"-5"), ("f", b"nonsense")])
def test_odd_numbers_beside_a_record_do_no_harm(scene, field, value):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place)
    scene.redis.hset(key, field, value)
    scene.sink.clear(*rules)

    wait.until(lambda: scene.copies(letter) or is_held(scene, letter, key), 20,
               lambda: f"delivered or held; {scene.told(letter)[-3:]} {scene.cluster.queue()}")
    assert all(node.process.alive() for node in scene.cluster.nodes)
    if not scene.copies(letter):
        scene.held += 1
    scene.wait_delivered(scene.send(place.address("after")))


# proves: A10 M06
@pytest.mark.parametrize("field, value", [("e", b"garbage"), ("s", b"garbage")])
def test_a_garbled_many_queue_message_is_held(scene, field, value):
    one, two = scene.places.take(), scene.places.take()
    courier = scene.cluster.kill("courier")
    letter = scene.send([one.address(), two.address()])
    key, = scene.redis.scan_iter(f"j:*:{letter.message_id}.0", 1000)
    scene.redis.hset(key, field, value)
    scene.cluster.restart(courier, wait_ready=True)
    wait.until(lambda: is_held(scene, letter, key), 20, lambda: f"held; {scene.told(letter)[-3:]} {scene.cluster.queue()}")
    scene.held += 1
    scene.dropped.add((letter.ledger_id, two.address()))  # one job is held for both recipients
    assert scene.copies(letter) == [] and scene.reports(letter) == []
