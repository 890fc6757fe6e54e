"""
SIGTERM to an ingress whose clients are in every state of a session, while Redis stands still: each is told or closed, none is refused for good,
and the node ends in its time.
"""

import shutil
import signal
import socket
import ssl

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster

from login import Client, plain

DRAIN_S = 8
TEMPORARY = {421, 450, 451, 452, 454}
LIMITS = {f"{what}_per_{whom}": "100000/1h burst=1" for what in ("connections", "messages", "recipients") for whom in ("client", "user")}
LIMITS["bytes_per_client"] = "100000000/1h burst=400000"
BEHIND = {"role": "relay", "proxy": "required", "balancers": ["127.0.0.0/8"]}


class Scene:
    def __init__(self, **settings):
        self.settings = settings

    def __enter__(self):
        self.folder = paths.scratch("authority")
        authority = Authority(self.folder)
        self.context = authority.client()
        listeners = {"relay": {"role": "relay"}, "submission": {"role": "submission"}, "submissions": {"role": "submissions"}, "behind": BEHIND,
                     "counted": {"role": "relay", "limits": LIMITS}, "weighed": {"role": "relay", "limits": {"bytes_per_client": "1000/1h burst=1000"}}}
        self.cluster = Cluster(dispatchers=0, couriers=0, listeners=listeners, settings={
            "tls": {"certificates": [authority.issue("localhost")]}, "node": {"drain_time": f"{DRAIN_S}s"}, **self.settings})
        self.cluster.__enter__()
        self.cluster.add_user("ann", "secret", "--senders", "@origin.test", "--messages-per-hour", "1000")
        return self

    def __exit__(self, *rest):
        self.cluster.__exit__(*rest)
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- clients up to some state

    def secured(self):
        return Client(self.cluster.address("submission"), self.context)

    def user(self):
        client = self.secured()
        assert client.code(f"AUTH PLAIN {plain('ann', 'secret')}") == 235
        return client

    def sending(self, user=True):
        client = self.user() if user else Client(self.cluster.address("relay"))
        assert client.code("MAIL FROM:<s@origin.test>") == 250
        assert client.code("RCPT TO:<r@one.test>") == 250
        return client

    def raw(self, listener, octets=b""):
        """A connection that has said so much, and waits."""
        made = socket.create_connection(self.cluster.address(listener), timeout=20)
        made.sendall(octets)
        return made

    def asked(self, client, line):
        client.send(line)
        return client


def chunk(client, octets):
    """The code for a chunk that is not the last one."""
    client.socket.sendall(b"BDAT %d\r\n" % len(octets) + octets)
    return client.read()[0]


def last_words(client):
    """What it was told until it was closed."""
    codes = []
    while True:
        try:
            code, _ = client.read()
        except (ConnectionError, ssl.SSLError):
            return codes
        if code == 0:
            return codes
        codes.append(code)


# proves: A15
def test_all_are_told_and_the_node_ends():
    with Scene(ingress={"limits_time": "3s"}) as scene:
        between = scene.sending()
        assert chunk(between, b"Subject: x\r\n") == 250
        inside = scene.sending()
        inside.socket.sendall(b"BDAT 100\r\nSubject: y\r\n")
        content = scene.sending(user=False)
        assert content.code("DATA") == 354
        challenged = scene.secured()
        assert challenged.code("AUTH LOGIN") == 334
        begun = Client(scene.cluster.address("submission"))
        assert begun.code("STARTTLS") == 220
        idle = scene.user()
        fresh, counted = scene.secured(), Client(scene.cluster.address("counted"))
        committing = scene.sending(user=False)
        assert committing.code("DATA") == 354
        weighed = Client(scene.cluster.address("weighed"))
        assert weighed.code("MAIL FROM:<s@origin.test>") == 250 and weighed.code("RCPT TO:<r@one.test>") == 250 and weighed.code("DATA") == 354
        shaking, arriving, silent = scene.raw("submissions", b"\x16\x03\x01"), scene.raw("behind", b"PROXY TCP4 "), scene.raw("behind")
        node = scene.cluster.nodes[0]
        scene.cluster.wait_metric("barid_handshakes", 2)

        scene.cluster.redis.freeze()
        waiting = [scene.asked(fresh, f"AUTH PLAIN {plain('ann', 'secret')}"), scene.asked(counted, "MAIL FROM:<s@origin.test>"),
                   scene.asked(weighed, "Subject: w\r\n\r\nw\r\n.")]
        scene.asked(committing, "Subject: z\r\n\r\nz\r\n.")
        ungreeted = scene.raw("counted")
        wait.until(lambda: node.metrics().get("barid_sessions", 0) >= 12, 10, lambda: f"all are there: {node.metrics().get('barid_sessions')}")
        node.process.signal(signal.SIGTERM)
        for told in (idle, challenged):
            assert last_words(told) == [421]
        for closed in (shaking, arriving, silent):
            assert closed.recv(100) == b""
        assert ungreeted.recv(100)[:4] in (b"", b"421 ")
        for one in waiting + [between, inside, content]:
            codes = last_words(one)
            assert codes and set(codes) <= TEMPORARY, codes
        assert last_words(begun) == []
        scene.cluster.redis.thaw()  # the commit is answered, whatever else is over
        assert last_words(committing) == [250, 421]
        assert node.process.wait(3) == 0
        with scene.cluster.redis.client() as redis:
            assert len(redis.keys("j:*")) == 1 and redis.keys("t:*") == []


# proves: A15
def test_a_redis_that_stays_away_does_not_keep_it():
    with Scene(store={"commit_time": "1s"}, auth={"timeout": "1s"}, ingress={"limits_time": "1s"}) as scene:
        committing, fresh, counted = scene.sending(), scene.secured(), Client(scene.cluster.address("counted"))
        scene.cluster.redis.freeze()
        committing.socket.sendall(b"BDAT 12 LAST\r\nSubject: z\r\n")
        scene.asked(fresh, f"AUTH PLAIN {plain('ann', 'secret')}")
        scene.asked(counted, "MAIL FROM:<s@origin.test>")
        node = scene.cluster.nodes[0]
        node.process.signal(signal.SIGTERM)
        assert node.process.wait(DRAIN_S + 2) == 0
        for one in (committing, fresh, counted):
            codes = last_words(one)
            assert codes[-1] == 421 and set(codes) <= TEMPORARY, codes
        scene.cluster.redis.thaw()
