"""
What the store holds beside records: indexes, leases, pauses, nodes, meta. Whatever stands there, no node crashes or runs in circles, other
partitions flow, and what was damaged flows again when it is mended.
"""

import smtplib

import pytest
from post import Places, Post

from harness import wait
from harness.cluster import Cluster, Node
from harness.sink import ScriptedSink, reply

BEATS = 3
STRANGER = b"01ARZ3NDEKTSV4RRFFQ69G5FAV.7"
REQUESTS_MOST = 3000  # a look at 256 partitions twice a second and their leases is about 800 a second


@pytest.fixture(scope="module")
def scene():
    places = Places(40)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "retry": {"first": "500ms", "longest": "500ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places, post.redis, post.other = places, cluster.redis.client(), places.take()
            yield post
            post.assert_balanced()


def tag_of(scene, place):
    """The hash tag of a place's partition, from a message of its own."""
    rules = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), host=host) for host in (place.first, place.second)]
    letter = scene.send(place.address("first"))
    scene.wait_told(letter, "deferred")
    key = wait.until(lambda: next(scene.redis.scan_iter(f"j:*:{letter.message_id}.0", 1000), None), 10, "its record")
    scene.sink.clear(*rules)
    scene.wait_delivered(letter)
    return key.split(b":")[1]


def beats(scene):
    return {name: int(value.split(b" ")[0]) for name, value in scene.redis.hgetall("barid:{c}:nodes").items()
            if name.isdigit() and value.split(b" ")[0].isdigit() and len(value) > 40}


def assert_calm(scene):
    """For some beats nobody asks the store more than usual, or tells more than a few lines."""
    def asked():
        return {node.name: node.metrics().get("barid_store_requests_total", 0) for node in scene.cluster.nodes}
    lines = {node.name: node.log_text().count("\n") for node in scene.cluster.nodes}
    before, since = asked(), beats(scene)
    wait.until(lambda: all(beats(scene).get(name, count + BEATS) >= count + BEATS for name, count in since.items()), 20, "beats")
    after = asked()
    assert all(node.process.alive() for node in scene.cluster.nodes)
    assert all(after[name] - before[name] < REQUESTS_MOST * BEATS for name in before), (before, after)
    told = {node.name: node.log_text().count("\n") - lines[node.name] for node in scene.cluster.nodes}
    assert max(told.values()) < 200, told


def assert_others_flow(scene):
    scene.wait_delivered(scene.send(scene.other.address()))


NUMBERS = {"empty": "", "words": "garbage", "minus": "-1", "2^63": "9223372036854775808", "2^53-1": "9007199254740991", "1e308": "1e308", "nan": "nan"}


# proves: M06
def test_a_garbled_pause_stops_nothing(scene):
    place = scene.places.take()
    state = b"s:" + tag_of(scene, place) + b":" + place.domain.encode()
    for value in NUMBERS.values():
        scene.redis.hset(state, mapping={"until": value, "ms": value, "error": "\xff\0"})
        scene.wait_delivered(scene.send(place.address()))
    assert_calm(scene)
    scene.redis.delete(state)


# proves: M06
def test_a_garbled_lease_is_taken_anew(scene):
    leases = []
    for value in NUMBERS.values():
        place = scene.places.take()
        leases.append(b"o:" + tag_of(scene, place))
        scene.redis.hset(leases[-1], mapping={"owner": value, "token": value, "until": value})
        scene.wait_delivered(scene.send(place.address()))
    for lease in leases:
        wait.until(lambda lease=lease: len(owner := scene.redis.hget(lease, "owner") or b"") == 16 and owner.isdigit(), 20, "an owner")
    assert_calm(scene)


# proves: A10 M06
def test_a_key_of_another_type_beside_the_indexes_stops_nothing(scene):
    keys = []
    for kind in (b"s", b"o", b"ev", b"seen"):
        place = scene.places.take()
        tag = tag_of(scene, place)
        keys.append(kind + b":" + tag + {b"s": b":" + place.domain.encode(), b"seen": b":x.0"}.get(kind, b""))
        scene.redis.delete(keys[-1])
        scene.redis.set(keys[-1], "hostile")
        scene.wait_delivered(scene.send(place.address()))
    assert_calm(scene)
    scene.redis.delete(*keys)


# proves: A10 M06
@pytest.mark.parametrize("kind", ["q", "c", "h", "d"])
def test_an_index_of_another_type_stops_its_own_only(scene, kind):
    place = scene.places.take()
    tag = tag_of(scene, place)
    scene.cluster.wait_empty()
    key = kind.encode() + b":" + tag + (b":" + place.domain.encode() if kind == "q" else b"")
    scene.redis.delete(key)
    scene.redis.rpush(key, "hostile")
    letter = scene.letter(place.address())
    try:  # taken, or answered 4xx: not lost, and not refused for good
        with smtplib.SMTP(*scene.cluster.addresses[0], timeout=60) as client:
            client.ehlo("client.test")
            scene.hand_over(client, letter)
    except AssertionError as refused:
        assert "(4" in str(refused)
    assert_others_flow(scene)
    assert_calm(scene)
    scene.redis.delete(key)
    if letter.acknowledged:
        wait.until(lambda: scene.copies(letter), 40, f"it flows again when mended; {scene.told(letter)[-3:]}")
    scene.wait_delivered(scene.send(place.address("mended")), timeout=40)


# proves: M06
def test_absurd_scores_make_no_storm(scene):
    tags = []
    for score in ("inf", "-inf", "1e308", "-1e308", "0.5", "9007199254740993"):
        place = scene.places.take()
        tags.append(tag_of(scene, place))
        scene.redis.zadd(b"d:" + tags[-1], {place.domain: score, "nothing.test": score})
        scene.redis.zadd(b"c:" + tags[-1], {STRANGER: score})
        scene.wait_delivered(scene.send(place.address()))
    assert_others_flow(scene)
    assert_calm(scene)
    for tag in tags:
        for kind in (b"d:", b"c:", b"h:"):
            scene.redis.zrem(kind + tag, "nothing.test", STRANGER)


# proves: M06
def test_what_is_no_job_in_a_queue_is_put_aside(scene):
    members = [b"", b"\0", b"x", STRANGER[:26], STRANGER[:27] + b"9" * 11, b"a" * 70000, b"{c}:*\r\n"]
    place = scene.places.take()
    tag = tag_of(scene, place)
    for member in members:
        scene.redis.zadd(b"q:" + tag + b":" + place.domain.encode(), {member: 1})
    scene.redis.zadd(b"d:" + tag, {place.domain: 1})
    for member in members:
        wait.until(lambda member=member: scene.redis.zscore(b"h:" + tag, member) is not None, 20, f"held: {member[:30]}")
    scene.wait_delivered(scene.send(place.address()))
    assert_calm(scene)
    assert scene.cluster.queue()["held"] == len(members)
    scene.redis.zrem(b"h:" + tag, *members)


# proves: M06
def test_what_is_no_queue_harms_no_other(scene):
    tag = tag_of(scene, scene.places.take())
    members = [b"", b"\0", b"x" * 70000, b"{c}:*\r\n", b"a b", b"#other", b"..", b"one.test/lane/lane", b"%s%n"]
    for member in members:
        scene.redis.zadd(b"d:" + tag, {member: 1})
        scene.redis.zadd(b"q:" + tag + b":" + member, {STRANGER: 1})
    assert_others_flow(scene)
    assert_calm(scene)
    for member in members:
        scene.redis.zrem(b"d:" + tag, member)
        scene.redis.delete(b"q:" + tag + b":" + member)
    scene.redis.zrem(b"h:" + tag, STRANGER)


# proves: M06
def test_garbled_nodes_are_no_nodes(scene):
    nodes = "barid:{c}:nodes"
    garbled = {"2": "\xff" * 1000, "last ": "x", "3": "7 \x01\0\0\0\0"}
    for n, value in enumerate(NUMBERS.values()):
        garbled.update({value or " ": value, f"{4503599627370497 + n}": value, f"{10 + n}": f"1 {value}"})
    alive = set(beats(scene))
    scene.redis.hset(nodes, mapping=garbled)
    assert_others_flow(scene)
    assert_calm(scene)
    assert alive <= set(beats(scene)), "nobody alive was buried"
    scene.redis.hdel(nodes, *garbled)


# proves: M06
def test_a_garbled_last_incarnation_lets_nodes_live_and_die(scene):
    for value in NUMBERS.values():
        scene.redis.hset("barid:{c}:nodes", "last", value)
        assert_others_flow(scene)
        assert all(node.process.alive() for node in scene.cluster.nodes)
    node = scene.cluster.kill("courier")
    scene.cluster.restart(node, wait_ready=True)  # joins: `last` is a number again
    assert_others_flow(scene)
    assert int(scene.redis.hget("barid:{c}:nodes", "last")) > 1600000000000000
    wait.until(lambda: scene.cluster.metric("barid_buried_total") >= 1, 20, "the dead one is buried")
    assert_calm(scene)


# proves: M06
def test_garbled_meta_keeps_new_nodes_out_and_old_ones_running(scene):
    meta = "barid:{c}:meta"
    for field, value in (("schema", ""), ("partitions", NUMBERS["2^63"]), ("hash", "\xff\0\n")):
        right = scene.redis.hget(meta, field)
        fresh = Node(scene.cluster, "courier", 9)
        scene.redis.hset(meta, field, value)
        assert_others_flow(scene)
        fresh.process.start()
        wait.until(lambda: "event=store_refused" in fresh.log_text() or not fresh.process.alive(), 20, lambda: f"it is told: {fresh.log_text()[-500:]}")
        assert not fresh.is_ready()
        fresh.process.kill()
        scene.redis.hset(meta, field, right)
    assert_calm(scene)


# proves: A10 M06
def test_a_queue_in_another_partition_is_worked_and_reported_like_any(scene):
    """A frame with a report that is refused is refused whole: its courier would not be heard."""
    place, foreign = scene.places.take(), scene.places.take()
    tag, name = tag_of(scene, place), foreign.domain.encode()
    if tag == tag_of(scene, foreign):
        pytest.skip("both hash to one partition")
    scene.cluster.wait_empty()
    held, due = b"h:" + tag, b"d:" + tag
    scene.redis.zadd(b"q:" + tag + b":" + name, {STRANGER: 1})
    scene.redis.zadd(due, {name: 0})
    wait.until(lambda: scene.redis.zscore(held, STRANGER), 10, "it is held")
    assert_calm(scene)
    assert_others_flow(scene)
    assert scene.cluster.metric("barid_frames_refused_total") == 0
    scene.redis.zrem(held, STRANGER)
