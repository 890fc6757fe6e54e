"""A queue whose destination is dead rests as a whole. Its mail expires all the same, without a connection for each message."""

import time

import pytest
from post import Places, Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

MANY = 300
WHY = "mx.dead.test: no route to host"


@pytest.fixture(scope="module")
def scene():
    places = Places(10)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)},
                    "retry": {"first": "60s", "longest": "60s", "lifetime": "60s", "bounce_lifetime": "60s"},
                    "dispatcher": {"pause_first": "1s", "pause_longest": "2s"}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            post.wait_delivered(post.send(places.take().address()))  # the couriers have their grants
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


@pytest.fixture
def lifetime(scene):
    """Sets retry.lifetime while the test lasts."""
    def set_to(text, first="60s"):
        loaded = [node.log_text().count("event=config_loaded") for node in scene.cluster.of("courier")]
        scene.cluster.reload({"retry": {"lifetime": text, "first": first, "longest": first}})
        for node, before in zip(scene.cluster.of("courier"), loaded):
            wait.until(lambda: node.log_text().count("event=config_loaded") > before, 10, "the new settings")
    yield set_to
    set_to("60s")


def sessions_of(scene, place):
    return [session for session in scene.sink.sessions if session.host in (place.first, place.second)]


def tag_of(scene, redis, place, letter):
    """The partition's, by this job: it was tried and waits there."""
    scene.wait_told(letter, "deferred")
    return wait.until(lambda: next((key.split(b":")[1] for key in redis.scan_iter(f"q:*:{place.domain}", 1000)), None), 10, "a waiting job")


def pause(redis, tag, place, ms):
    """As the owner does; what waits there is due when it ends."""
    now = int(redis.time()[0]) * 1000
    queue, domain = b"q:" + tag + b":" + place.domain.encode(), place.domain
    redis.hset(b"s:" + tag + b":" + domain.encode(), mapping={"until": now + ms, "ms": ms, "error": WHY})
    redis.zadd(queue, {job: now for job in redis.zrange(queue, 0, -1)})
    redis.zadd(b"d:" + tag, {domain: now})


def reports_about(scene, place):
    """{(recipient,): report} of what was returned of this place's mail."""
    reports = [Report(t) for t in scene.sink.taken() if t.sender == "" and place.domain.encode() in t.content]
    return {tuple(report.recipients): report for report in reports}


# proves: J02 J09
def test_expired_mail_of_a_paused_queue_is_returned_with_the_reason_of_the_pause(scene, place, lifetime):
    redis = scene.cluster.redis.client()
    rules = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), host=host) for host in (place.first, place.second)]
    letters = [scene.send(place.address("first"))]
    tag = tag_of(scene, redis, place, letters[0])
    pause(redis, tag, place, 3600_000)
    letters += scene.send_many([place.address(f"r{n}") for n in range(MANY)])
    wait.until(lambda: redis.zcard(b"q:" + tag + b":" + place.domain.encode()) == len(letters), 10, "all of them wait")
    scene.sink.clear(*rules)
    opened = len(sessions_of(scene, place))
    lifetime("100ms")
    wait.until(lambda: time.monotonic() > letters[-1].sent_at + 0.2, 5, "the last one is old")
    pause(redis, tag, place, -1)  # over, but nothing has gone through since
    returned = wait.until(lambda: (lambda found: found if len(found) == len(letters) else None)(reports_about(scene, place)), 60, "all are returned", pause=0.2)
    assert {tuple(letter.recipients) for letter in letters} == set(returned)
    for report in returned.values():
        assert report.blocks[1]["Status"] == "5.4.7" and WHY in report.words
    assert len(sessions_of(scene, place)) == opened, "nobody asked the host about mail that had expired"


# proves: J02 J09 H16
def test_mail_of_a_dead_destination_expires_with_few_connections(scene, place, lifetime):
    lifetime("4s", first="1s")
    for host in (place.first, place.second):
        scene.sink.rule("connect", reply("421 4.3.2 out of service", then_drop=True), host=host)
    letters = scene.send_many([place.address(f"r{n}") for n in range(MANY)])
    redis = scene.cluster.redis.client()
    wait.until(lambda: next(redis.scan_iter(f"s:*:{place.domain}", 1000), None), 10, "the queue rests")
    returned = wait.until(lambda: (lambda found: found if len(found) == len(letters) else None)(reports_about(scene, place)), 60, "all are returned", pause=0.2)
    for report in returned.values():
        assert report.blocks[1]["Status"] == "5.4.7" and "out of service" in report.words
    assert len(sessions_of(scene, place)) < MANY / 3
    scene.sink.clear()
    assert scene.wait_delivered(scene.send(place.address("again"))), "and when it is back, mail goes"


def test_younger_mail_of_such_a_queue_is_tried_and_goes(scene, place, lifetime):
    redis = scene.cluster.redis.client()
    rules = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), host=host) for host in (place.first, place.second)]
    first = scene.send(place.address("first"))
    tag = tag_of(scene, redis, place, first)
    pause(redis, tag, place, 3600_000)
    scene.sink.clear(*rules)
    letters = [first] + scene.send_many([place.address(f"r{n}") for n in range(20)])
    pause(redis, tag, place, -1)
    for letter in letters:
        scene.wait_delivered(letter)
