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
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "dispatcher": {"queue_connections": 4}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post, place, gate = Post(cluster, sink), places.take(), Gate()
            sink.rule("dot", stall(gate=gate), host=place.first, times=1)
            sink.rule("dot", stall(0.05), host=place.first)
            letters = post.send_many([place.address(f"r{n}") for n in range(60)])
            gate.wait_held()
            busy = next(node for node in cluster.of("courier") if node.metrics()["barid_connections"] > 0)
            busy.process.signal(signal.SIGTERM)
            wait.until(lambda: sum(bool(t.replied_at) for letter in letters for t in post.copies(letter)) >= len(letters) - 2, 30,
                       "all but the one behind its dot and the one behind that")
            assert busy.process.alive(), "it waits for the reply to its dot"
            gate.open()
            assert busy.process.wait(20) == 0
            assert {line["node"] for letter in letters for line in post.told(letter, "delivered")} == {"courier1.relay.test", "courier2.relay.test"}
            for letter in letters:
                assert len(post.copies(letter)) == 1 and post.told(letter, "in_doubt") == []
            post.assert_balanced()
