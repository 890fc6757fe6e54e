"""Mail of a pool whose addresses are on no courier's host waits for one, but not for ever: it is deferred with that reason, and returned when its lifetime ends."""

import pytest
from post import Post

from harness.cluster import Cluster
from harness.sink import ScriptedSink

ELSEWHERE = "192.0.2.77"  # on no host of ours


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink(["127.0.0.2", "127.0.0.9"]) as sink:
        settings = {"courier": {"routes": {"*": f"127.0.0.2:{sink.port}", "origin.test": f"127.0.0.9:{sink.port}"}},
                    "lanes": {"away": {"senders": ["@origin.test"], "pool": "away"}}, "pools": {"away": {"addresses": [ELSEWHERE]}},
                    "retry": {"first": "1s", "longest": "1s", "lifetime": "6s"},
                    "dispatcher": {"pause_first": "200ms", "pause_longest": "1s"}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post = Post(cluster, sink)
            yield post
            post.assert_balanced()


# proves: H21 J02
def test_it_is_returned_when_its_time_is_over(scene):
    letter = scene.send("r@waits.test", sender="s@origin.test")
    scene.cluster.wait_log("dispatcher", r"event=pool_away .*pool=away")
    report = scene.wait_returned(letter)
    block = report.of("r@waits.test")
    assert (block["Action"], block["Status"]) == ("failed", "5.4.7")
    assert "no address of pool away" in report.words
    scene.cluster.wait_empty()
