"""
The wall clock of a node jumps by hours or days, forward or back: nobody is buried, no mail expires before its time, none waits longer, and all
that was accepted is delivered once.
"""

import time

import pytest
from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply
from harness.wall import Wall

HOST, HOME = "127.0.6.1", "127.0.6.2"
HOUR, DAY = 3600, 86400
BEATS = 7  # more than silence that ends a life
JUMPS = [5 * HOUR, -5 * HOUR, 9000 * DAY, 0]


@pytest.fixture(params=["ingress", "dispatcher", "courier"])
def scene(request):
    with ScriptedSink([HOST, HOME]) as sink:
        settings = {"courier": {"port": sink.port, "routes": {"one.test": f"{HOST}:{sink.port}", "two.test": f"{HOST}:{sink.port}", "origin.test": f"{HOME}:{sink.port}"}},
                    "retry": {"first": "1s", "longest": "1s", "lifetime": "1h"}}
        cluster = Cluster(ingress=2, dispatchers=2, couriers=2, settings=settings)
        node = cluster.of(request.param)[0]
        wall = Wall(node.process, cluster.folder)
        with cluster:
            post = Post(cluster, sink)
            post.node, post.wall, post.redis = node, wall, cluster.redis.client()
            yield post
            post.assert_balanced()


def beats(scene):
    return {name: int(value.split(b" ")[0]) for name, value in scene.redis.hgetall("barid:{c}:nodes").items() if name != b"last"}


# proves: J02
def test_a_wall_clock_that_jumps_expires_and_buries_nothing(scene):
    wall = scene.sink.rule("rcpt", reply("450 4.2.0 wait"), domain="one.test")
    letters = scene.send_many([f"r{n}@one.test" for n in range(6)])
    for letter in letters:
        scene.wait_told(letter, "deferred")
    alive = set(beats(scene))
    for jump in JUMPS:
        scene.wall.set(jump)
        before = beats(scene)
        arrived = scene.send("now@two.test")  # the first ingress takes it: the one whose clock jumps, if one does
        letters.append(scene.send("late@one.test"))
        scene.wait_delivered(arrived)
        wait.until(lambda before=before: all(count >= before.get(name, 0) + (BEATS if jump in JUMPS[:2] else 2) for name, count in beats(scene).items()), 30, "all beat on")
        began = time.monotonic()
        tries = {letter: len(scene.told(letter, "deferred")) for letter in letters[-2:]}
        for letter in letters[-2:]:
            scene.wait_told(letter, "deferred", tries[letter] + 1)
        assert time.monotonic() - began < 20, "nobody waits for hours"
    assert set(beats(scene)) == alive and scene.cluster.metric("barid_buried_total") == 0
    assert all(scene.reports(letter) == [] for letter in letters), "none has expired"
    assert not any(scene.told(letter, "bounced") for letter in letters)
    scene.sink.clear(wall)
    for letter in letters:
        scene.wait_delivered(letter)


# proves: A17 J02
def test_a_redis_whose_clock_jumps_expires_and_buries_nothing():
    """
    Forward: what waits is due at once. Back: what waits comes when the clock is there again, or when an operator says so; new mail is not late,
    and what is put off from then on is tried in its time. (What was accepted while it was a day behind has a day less to live.)
    """
    with ScriptedSink([HOST, HOME]) as sink:
        settings = {"courier": {"port": sink.port, "routes": {"one.test": f"{HOST}:{sink.port}", "two.test": f"{HOST}:{sink.port}", "origin.test": f"{HOME}:{sink.port}"}},
                    "retry": {"first": "1s", "longest": "1s", "lifetime": "3d"}}
        cluster = Cluster(ingress=2, dispatchers=2, couriers=2, settings=settings)
        wall = Wall(cluster.redis.process, cluster.folder)
        with cluster:
            scene = Post(cluster, sink)
            scene.redis = cluster.redis.client()
            alive = set(beats(scene))
            shut = sink.rule("rcpt", reply("450 4.2.0 wait"), domain="one.test")
            letters = []
            for jump in (DAY, 0, -DAY, 400 * DAY, 0):
                letters.append(scene.send("before@one.test"))
                scene.wait_told(letters[-1], "deferred")
                wall.set(jump)
                before = beats(scene)
                scene.wait_delivered(scene.send("now@two.test"))
                letters.append(scene.send("late@one.test"))
                scene.wait_told(letters[-1], "deferred", 3)
                wait.until(lambda before=before: all(count >= before.get(name, 0) + BEATS for name, count in beats(scene).items()), 30, "all beat on")
                if time.time() + jump < newest(scene):
                    scene.cluster.baridctl("queue", "retry", "one.test", "--yes")
                tries = len(scene.told(letters[-2], "deferred"))
                scene.wait_told(letters[-2], "deferred", tries + 1)
            assert set(beats(scene)) == alive and scene.cluster.metric("barid_buried_total") == 0
            assert all(scene.reports(letter) == [] for letter in letters), "none has expired"
            sink.clear(shut)
            cluster.baridctl("queue", "retry", "one.test", "--yes")
            for letter in letters:
                scene.wait_delivered(letter)
            scene.assert_balanced()


def newest(scene):
    """When the last of all that waits is due, seconds."""
    return max([score for key in scene.redis.keys("q:*") for _, score in scene.redis.zrange(key, -1, -1, withscores=True)], default=0) / 1000
