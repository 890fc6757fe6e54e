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


GARBAGE = {"empty": b"", "a byte": b"\x01", "words": b"garbage" * 100, "high bytes": b"\xff" * 20000, "zeros": b"\0" * 64, "a head alone": b"\x01\0\0\0\0",
           "minus one": b"-1", "2^63": b"9223372036854775808", "1e308": b"1e308", "nan": b"nan", "0x10": b"0x10", "digits": b"9" * 5000}
NUMBERS = [name for name in GARBAGE if name not in ("a head alone", "a byte", "high bytes")]


class Damaged:
    """A letter that waits, what is done to its record, and what must become of it."""

    def __init__(self, name, damage, ends):
        self.name, self.damage, self.ends = name, damage, ends  # ends: "held" or "delivered"


def put(field, value):
    return lambda redis, key, _: redis.hset(key, field, value)


def take_away(field):
    return lambda redis, key, _: redis.hdel(key, field)


def as_another_type(redis, key, _):
    redis.delete(key)
    redis.rpush(key, "hostile")


def on_chunk(change):
    """Does something to the content's one chunk."""
    def damage(redis, _, letter):
        chunk, = redis.scan_iter(f"b:*:{letter.message_id}.0:0", 1000)
        change(redis, chunk)
    return damage


def chunk_of_another_type(redis, chunk):
    ttl = redis.delete(chunk)
    assert ttl == 1 and redis.rpush(chunk, "hostile")


def table():
    """Every field of a record, and its chunk, with everything that could stand there."""
    for field in "es":
        yield from (Damaged(f"{field} {name}", put(field, value), "held") for name, value in GARBAGE.items())
    for field in "nx":  # counts: what is no number is not read as one
        yield from (Damaged(f"{field} {name}", put(field, GARBAGE[name]), "held") for name in NUMBERS)
    yield from (Damaged(f"n {n}", put("n", b"%d" % n), "held") for n in (0, 2, 4097))
    for field in "ensu":
        yield Damaged(f"no {field}", take_away(field), "held")
    for field in "qumkywf":  # of no use to a courier: what they hold leads to nothing
        yield from (Damaged(f"{field} {name}", put(field, GARBAGE[name]), "delivered") for name in ("empty", "words", "2^63", "1e308", "minus one"))
    yield Damaged("no record", lambda redis, key, _: redis.delete(key), "held")
    yield Damaged("a record of another type", as_another_type, "held")
    yield Damaged("a chunk of another type", on_chunk(chunk_of_another_type), "held")
    yield Damaged("a longer chunk", on_chunk(lambda redis, chunk: redis.append(chunk, "RCPT TO:<x@y>\r\n")), "held")
    yield Damaged("an empty chunk", on_chunk(lambda redis, chunk: redis.set(chunk, "")), "held")
    yield Damaged("no chunk", on_chunk(lambda redis, chunk: redis.delete(chunk)), "held")
    yield Damaged("a chunk one byte short", on_chunk(lambda redis, chunk: redis.set(chunk, redis.get(chunk)[:-1])), "held")


HOST, HOME = "127.0.5.1", "127.0.5.2"
TRIES_MOST = 4


# proves: A10 M06
def test_every_damaged_field_holds_its_own_job_only():
    cases = list(table())
    domains = [f"case{n}.test" for n in range(len(cases))]
    with ScriptedSink([HOST, HOME]) as sink:
        routes = {**{domain: f"{HOST}:{sink.port}" for domain in domains}, "origin.test": f"{HOME}:{sink.port}"}
        settings = {"courier": {"port": sink.port, "routes": routes}, "retry": {"first": "3s", "longest": "3s"}}
        with Cluster(settings=settings) as cluster:
            post, redis = Post(cluster, sink), cluster.redis.client()
            wall = sink.rule("rcpt", reply("450 4.2.0 wait"))
            letters = post.send_many([f"r@{domain}" for domain in domains])
            for letter in letters:
                post.wait_told(letter, "deferred")
            assert sink.dots() == []
            sizes = {node: len(node.process.log_text()) for node in cluster.nodes}
            for case, letter in zip(cases, letters):
                key = wait.until(lambda letter=letter: next((k for k in redis.scan_iter(f"j:*:{letter.message_id}.0", 1000) if not redis.hexists(k, "k")), None),
                                 20, f"{letter.ledger_id} waits in the store")
                case.key, case.tag = key, key.split(b":")[1]
                case.damage(redis, key, letter)
            sink.clear(wall)

            for case, letter in zip(cases, letters):
                def is_over(case=case, letter=letter):
                    return redis.zscore(b"h:" + case.tag, f"{letter.message_id}.0") is not None if case.ends == "held" else bool(post.copies(letter))
                wait.until(is_over, 40, lambda case=case, letter=letter: f"{case.ends}: {case.name}; {post.told(letter)[-3:]} {cluster.queue()}")
            held = [letter for case, letter in zip(cases, letters) if case.ends == "held"]
            after = post.send_many([f"after@{domain}" for domain in domains])
            for case, letter in zip(cases, after):
                post.wait_delivered(letter)

            assert [post.copies(letter) + post.reports(letter) for letter in held] == [[]] * len(held), "nothing of them was sent"
            assert all(node.process.alive() for node in cluster.nodes)
            assert all(t.content.endswith(b"body\r\n") for t in sink.dots()), "nobody got a part"
            assert cluster.queue()["held"] == len(held)
            for case, letter in zip(cases, letters):
                assert case.name == "no record" or redis.exists(case.key) == (case.ends == "held"), f"{case.name}: nothing is thrown away, nothing left over"
                assert len(post.told(letter)) <= 3 * TRIES_MOST, f"{case.name}: no storm of lines"
                told = [entry for _, entry in redis.xrange(b"ev:" + case.tag)]
                assert sum(letter.message_id.encode() in value for entry in told for value in entry.values()) <= 3 * TRIES_MOST, f"{case.name}: no storm of events"
                if case.ends == "delivered":
                    assert not list(redis.scan_iter(f"b:*:{letter.message_id}.0:*", 1000)), f"{case.name}: its content is left over"
                else:
                    assert "held" in cluster.baridctl("why", f"{letter.message_id}.0") or case.name == "no record", case.name
            for node, before in sizes.items():
                assert len(node.process.log_text()) - before < 400000, f"{node.name} fills the disk"
            post.assert_balanced(held=len(held))


# proves: A10
def test_a_record_of_a_newer_version_waits_for_a_newer_courier(scene):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place)
    record = bytearray(scene.redis.hget(key, "e"))
    scene.redis.hset(key, "e", b"\x03" + bytes(record[1:]))
    scene.sink.clear(*rules)
    scene.cluster.wait_log("courier", f"event=record_newer .*{letter.message_id}")
    scene.wait_delivered(scene.send(place.address("after")))
    assert scene.copies(letter) == [] and scene.redis.exists(key) and not is_held(scene, letter, key)
    scene.redis.hset(key, "e", bytes(record))  # a courier that understands it
    tag = key.split(b":")[1]
    scene.redis.zadd(b"q:" + tag + b":" + place.domain.encode(), {f"{letter.message_id}.0": 1}, xx=True)
    scene.redis.zadd(b"d:" + tag, {place.domain: 1})
    scene.wait_delivered(letter)


def misplace(scene, letter, key, place, queue):
    """Puts its job into another queue of its partition."""
    tag, job = key.split(b":")[1], f"{letter.message_id}.0"
    with scene.redis.pipeline() as together:
        together.zrem(b"q:" + tag + b":" + place.domain.encode(), job)
        together.zadd(b"q:" + tag + b":" + queue.encode(), {job: 1})
        together.zadd(b"d:" + tag, {queue: 1})
        together.execute()


# proves: A10 M06
def test_a_job_in_the_queue_of_another_domain_is_held(scene):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place)
    misplace(scene, letter, key, place, "elsewhere.test")
    assert_held(scene, letter, key, place, rules)


# proves: A10 I16
def test_a_job_in_the_queue_of_another_lane_goes_back_to_its_own(scene):
    place = scene.places.take()
    letter, key, rules = waiting(scene, place)
    scene.sink.clear(*rules)
    misplace(scene, letter, key, place, f"{place.domain}/other")
    scene.wait_delivered(letter)
    assert scene.cluster.metric("barid_moved_total") == 1


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
