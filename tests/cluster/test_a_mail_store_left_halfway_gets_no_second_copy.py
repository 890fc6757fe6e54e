"""LMTP: some recipients have their answer, the connection is lost, others of the message are still to be sent, and then the courier must stop: the answers count."""

import signal

from post import Post

from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, drop, stall

HOME, STORE, BACKUP = "127.0.0.9", "127.0.1.1", "127.0.1.2"
FIRST, SECOND, THIRD = (f"{name}@store.test" for name in ("first", "second", "third"))


def count(store, letter, recipient):
    return sum(t.ledger_id == letter.ledger_id and recipient in t.recipients for t in store.taken())


# proves: A05 H13 A15
def test_who_has_an_answer_gets_no_second_copy_when_the_courier_stops():
    gate = Gate()
    with ScriptedSink([HOME]) as home, ScriptedSink([STORE, BACKUP], is_lmtp=True) as store:
        settings = {"courier": {"max_recipients": 2, "routes": {"origin.test": f"{HOME}:{home.port}", "store.test": "store"}},
                    "transports": {"store": {"protocol": "lmtp", "hosts": [f"{STORE}:{store.port}", f"{BACKUP}:{store.port}"]}},
                    "retry": {"first": "100ms", "longest": "300ms"}}
        store.rule("dot", drop(), recipient=SECOND, times=1)
        store.rule("connect", stall(gate=gate), host=BACKUP)
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, home)
            letter = post.send([FIRST, SECOND, THIRD])
            gate.wait_held()
            courier = cluster.of("courier")[0]
            courier.process.signal(signal.SIGTERM)
            assert courier.process.wait(20) == 0
            cluster.restart("courier1", wait_ready=True)
            gate.open()
            cluster.wait_empty()
            assert [count(store, letter, recipient) for recipient in (FIRST, SECOND, THIRD)] == [1, 2, 1]
