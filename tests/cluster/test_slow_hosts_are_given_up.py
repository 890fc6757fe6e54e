"""Every phase has its own time limit, and no host holds a connection longer than the settings say."""

import pytest
from post import Places, Post
from raw_host import RawHost, Unreachable, trickle

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, drop, stall

LIMITS = {"connect_timeout": 0.4, "greeting_timeout": 0.5, "command_timeout": 0.6, "data_timeout": 0.7, "block_timeout": 0.8, "dot_timeout": 0.9,
          "transaction_time": 2.0}
RAW = ["127.0.6.1", "127.0.6.2", "127.0.6.3", "127.0.6.4", "127.0.6.5", "127.0.6.6"]
LARGE = (b"x" * 70 + b"\r\n") * 250000


@pytest.fixture(scope="module")
def scene():
    places = Places(20)
    with ScriptedSink(places.hosts()) as sink:
        routes = {**places.routes(sink.port),
                  **{f"raw{n}.test": f"{host}:{sink.port}, {places.HOME}:{sink.port}" for n, host in enumerate(RAW)}}
        settings = {"courier": {"port": sink.port, "routes": routes, "idle_time": "0s", **{name: f"{int(s * 1000)}ms" for name, s in LIMITS.items()}},
                    "retry": {"first": "300ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def waited(scene, letter, event, limit):
    """It took as long as the limit until the event was told."""
    return int(scene.wait_told(letter, event)[0]["delay_ms"]) >= LIMITS[limit] * 950


# proves: H02 I13
@pytest.mark.parametrize("stage, limit", [("connect", "greeting_timeout"), ("ehlo", "greeting_timeout"), ("mail", "command_timeout"),
                                          ("rcpt", "command_timeout"), ("data", "data_timeout")])
def test_a_host_that_stalls_before_the_content_is_left_for_the_next(scene, place, stage, limit):
    scene.sink.rule(stage, stall(30), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.second
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1" and scene.told(letter, "in_doubt") == []
    assert waited(scene, letter, "delivered", limit)
    assert len([s for s in scene.sink.sessions if s.host == place.first]) == 1, "one try is enough"


# proves: H02 I13
def test_an_address_that_never_answers_is_left_for_the_next(scene):
    with Unreachable(RAW[0], scene.sink.port):
        letter = scene.send("r@raw0.test")
        assert scene.wait_delivered(letter).session.host == scene.places.HOME
        assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"
        assert waited(scene, letter, "delivered", "connect_timeout")


def take_a_message(octets, pause):
    """serve(): without extensions up to the content, which is taken so many octets at a time, with a pause between."""
    def serve(connection, wait_for):
        connection.sendall(b"220 slow.test\r\n")
        for answer in (b"250 slow.test\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            connection.recv(1000)
            connection.sendall(answer)
        while not wait_for(pause) and connection.recv(octets):
            pass
    return serve


# proves: H02 H24
@pytest.mark.parametrize("raw, pause, limit", [(4, 30, "block_timeout"), (5, 0.04, "transaction_time")])
def test_a_host_that_takes_content_too_slowly_is_left_for_the_next(scene, raw, pause, limit):
    with RawHost(RAW[raw], scene.sink.port, take_a_message(160000, pause), receive_buffer=160000):
        letter = scene.send(f"r@raw{raw}.test", body=LARGE)
        assert scene.wait_delivered(letter).session.host == scene.places.HOME
    assert waited(scene, letter, "delivered", limit)
    assert scene.told(letter, "in_doubt") == []


# proves: H02 H13
def test_no_reply_to_the_dot_is_a_doubt_and_not_a_failure(scene, place):
    scene.sink.rule("dot", stall(30), host=place.first, times=1)
    letter = scene.send(place.address())
    wait.until(lambda: len(scene.copies(letter)) == 1 and scene.told(letter, "in_doubt"), 20, "the second try")
    assert scene.told(letter, "deferred")[0]["status"] == "4.4.2"
    scene.wait_settled(letter)
    assert waited(scene, letter, "deferred", "dot_timeout")
    assert scene.copies(letter)[0].session.host == place.first, "not another host: it may have it"
    assert scene.reports(letter) == []


# proves: H06 I13
def test_a_host_that_hangs_up_in_the_content_is_left_for_the_next(scene, place):
    scene.sink.rule("body", drop(after=100000), host=place.first)
    letter = scene.send(place.address(), body=LARGE)
    assert scene.wait_delivered(letter).session.host == place.second
    assert scene.told(letter, "in_doubt") == [] and len(scene.copies(letter)) == 1


# proves: H24
@pytest.mark.parametrize("raw, octets", [(1, b"220 sink.test and more and more and more "), (2, b"220-sink.test\r\n")])
def test_a_greeting_octet_by_octet_has_a_deadline(scene, raw, octets):
    with RawHost(RAW[raw], scene.sink.port, trickle(octets, 0.1)):
        letter = scene.send(f"r@raw{raw}.test")
        assert scene.wait_delivered(letter, timeout=10).session.host == scene.places.HOME


# proves: H24
def test_replies_octet_by_octet_have_a_deadline(scene):
    def serve(connection, pause):
        connection.sendall(b"220 slow.test\r\n")
        connection.recv(1000)
        connection.sendall(b"250 slow.test\r\n")
        trickle(b"250-not yet\r\n", 0.1)(connection, pause)

    with RawHost(RAW[3], scene.sink.port, serve):
        letter = scene.send("r@raw3.test")
        assert scene.wait_delivered(letter, timeout=10).session.host == scene.places.HOME
