"""SIGTERM: what is under way is finished, what is not goes to others at once, and the process ends by itself."""

import signal

from post import Places, Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, stall


# proves: A15 A16
def test_the_message_behind_its_dot_is_finished_and_the_rest_is_others_work():
    places = Places(2)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "dispatcher": {"queue_connections": 1}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post, place, gate = Post(cluster, sink), places.take(), Gate()
            sink.rule("dot", stall(gate=gate), host=place.first, times=1)
            letters = post.send_many([place.address(f"r{n}") for n in range(30)])
            gate.wait_held()
            busy = next(node for node in cluster.of("courier") if node.metrics()["barid_connections"] > 0)
            busy.process.signal(signal.SIGTERM)
            wait.until(lambda: sum(bool(post.copies(letter)) for letter in letters) >= 29 + 1, 30, "the others' way")
            assert busy.process.alive(), "it waits for the reply to its dot"
            gate.open()
            assert busy.process.wait(20) == 0
            for letter in letters:
                assert len(post.copies(letter)) == 1 and post.told(letter, "in_doubt") == []
            post.assert_balanced()
