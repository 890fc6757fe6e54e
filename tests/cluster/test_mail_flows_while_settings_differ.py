"""Settings reach the nodes one after the other, or some of them never: a limit that only couriers know of stops no mail."""

import signal

import pytest
from post import Post

from harness.cluster import Cluster
from harness.sink import ScriptedSink


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink() as sink, Cluster(settings={"courier": {"routes": {"*": f"127.0.0.1:{sink.port}"}}}) as cluster:
        post = Post(cluster, sink)
        yield post
        post.assert_balanced()


def test_a_site_limit_that_the_dispatcher_does_not_know_stops_no_mail(scene):
    scene.cluster.write_settings({"dispatcher": {"site_limits": {"127.0.0.1": "connections=5"}}})
    for courier in scene.cluster.of("courier"):
        courier.process.signal(signal.SIGHUP)
    for domain in ("one.test", "two.test"):
        scene.wait_delivered(scene.send(f"r@{domain}"))
