"""Each limit of a session at one below it, at it, and one above it: below and at nothing happens, above it comes its own code."""

import os
import re

import pytest

from harness import paths, wait
from harness.cluster import Cluster, merged
from test_dialogs import PLAIN, Client, stored_content
from test_ingress import ask, end_data, start_data

pytestmark = pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")


def greeted(cluster):
    client = Client(cluster.addresses[0])
    assert client.reply("greeting").startswith(b"220 ")
    return client


def content_of(cluster, count, make):
    """The reply to a message of that content."""
    client = start_data(greeted(cluster))
    client.say(make(count) + b".\r\n", False)
    return client.reply("dot")


def recipients(cluster, count):
    client = greeted(cluster)
    ask(client, b"EHLO x.example", b"250")
    ask(client, b"MAIL FROM:<a@b.example>", b"250")
    client.say(b"".join(b"RCPT TO:<r%d@d.example>\r\n" % n for n in range(count)), False)
    replies = [client.reply("RCPT") for _ in range(count)]
    ask(client, b"DATA", b"354")
    end_data(client, b"x\r\n")
    assert all(reply.startswith(b"250") for reply in replies[:100])
    return replies[-1]


def transactions(cluster, count):
    client = greeted(cluster)
    ask(client, b"EHLO x.example", b"250")
    for _ in range(count - 1):
        ask(client, b"MAIL FROM:<a@b.example>", b"250")
        ask(client, b"RSET", b"250")
    client.say(b"MAIL FROM:<a@b.example>\r\n", False)
    return client.reply("MAIL")


def repeated(line):
    def say(cluster, count):
        client = greeted(cluster)
        reply = b""
        for _ in range(count):
            client.say(line, False)
            reply = client.reply(line)
        client.say(b"NOOP\r\n", False)  # what ends the session may come with the reply, or behind it
        try:
            return reply if reply.startswith(b"421") else client.reply("next")
        except AssertionError:
            return b"closed"
    return say


def sessions(cluster, count):
    clients = [Client(cluster.addresses[0]) for _ in range(count)]
    reply = [client.reply("greeting") for client in clients][-1]
    for client in clients:
        client.socket.close()
    return reply


def header_bytes(count):
    return b"X: " + b"\r\n ".join([b"y" * 60] * 70)[:count - 3 - 4] + b"\r\n\r\n" + b"body\r\n"


def received(count):
    return b"Received: by x; Sun, 22 Nov 2026 07:15:45 +0000\r\n" * count + b"\r\nbody\r\n"


LIMITS = {
    # name: (settings, the limit, what is done so many times, code when it is passed)
    "recipients": ({"max_recipients": 100}, 100, recipients, b"452 4.5.3"),
    "transactions": ({"max_transactions": 5}, 5, transactions, b"421 4.7.0"),
    "errors": ({"max_errors": 5}, 5, repeated(b"WHAT\r\n"), b"421 4.7.0"),
    "junk": ({"max_junk": 5, "max_errors": 1000}, 4, repeated(b"NOOP\r\n"), b"421 4.7.0"),
    "sessions": ({"max_sessions": 5}, 5, sessions, b"421 4.7.0"),
    "sessions of a client": ({"max_sessions_per_client": 5}, 5, sessions, b"421 4.7.0"),
    "message": ({"max_message": "64KiB"}, 65536, lambda c, n: content_of(c, n, lambda n: b"X: y\r\n\r\n" + b"z" * 998 + b"\r\n" + (b"z" * 98 + b"\r\n") * ((n - 1008) // 100)
                + b"z" * ((n - 1008) % 100 - 2) + b"\r\n"), b"552 5.3.4"),
    "header": ({"max_header": "4KiB"}, 4096, lambda c, n: content_of(c, n, header_bytes), b"552 5.3.4"),
    "header fields": ({"max_header_fields": 50}, 50, lambda c, n: content_of(c, n, lambda n: b"X: y\r\n" * n + b"\r\nbody\r\n"), b"554 5.6.0"),
    "hops": ({"max_hops": 10}, 10, lambda c, n: content_of(c, n, received), b"554 5.4.6"),
    "line": ({"max_line": "998B"}, 998, lambda c, n: content_of(c, n, lambda n: b"X: y\r\n\r\n" + b"z" * n + b"\r\n"), b"554 5.6.0"),
}


# proves: M01
@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_has_its_code(name):
    settings, limit, go, code = LIMITS[name]
    with Cluster(ingress=1, dispatchers=0, couriers=0, settings=merged(PLAIN, {"ingress": settings})) as cluster:
        for count in (limit - 1, limit):
            reply = go(cluster, count)
            assert reply[:1] == b"2", f"{count}: {reply}"
            assert cluster.nodes[0].process.alive()
            wait.until(lambda: "sessions" not in name or cluster.metric("barid_sessions") == 0, 10, "no session is left")
        reply = go(cluster, limit + 1)
        assert reply.startswith(code), reply
        assert cluster.nodes[0].process.alive()


# proves: B36
def test_what_ehlo_tells_is_what_is_kept():
    settings = {"max_recipients": 101, "max_transactions": 3, "max_message": "64KiB"}
    with Cluster(ingress=1, dispatchers=0, couriers=0, settings=merged(PLAIN, {"ingress": settings})) as cluster:
        told = ask(greeted(cluster), b"EHLO x.example", b"250").split(b"\r\n")
        assert b"250-SIZE 65536" in told
        mails, recipients_told = next(re.fullmatch(rb"250-LIMITS MAILMAX=(\d+) RCPTMAX=(\d+)", line).groups() for line in told if b"LIMITS" in line)
        assert recipients(cluster, int(recipients_told)).startswith(b"250")
        assert recipients(cluster, int(recipients_told) + 1).startswith(b"452 4.5.3")
        assert transactions(cluster, int(mails)).startswith(b"250")
        assert transactions(cluster, int(mails) + 1).startswith(b"421 4.7.0")
        client = greeted(cluster)
        ask(client, b"EHLO x.example", b"250")
        ask(client, b"MAIL FROM:<a@b.example> SIZE=65537", b"552 5.3.4")
        ask(client, b"MAIL FROM:<a@b.example> SIZE=65536", b"250")
        ask(client, b"QUIT", b"221")


# proves: B31 B30
@pytest.mark.parametrize("octet", [b"\0", b"\r", b"\n", b"\xff"])
def test_an_octet_is_seen_at_every_edge(octet):
    """Refused are NUL, bare CR and bare LF wherever buffers end; any other stays where it is."""
    edges = list(range(65)) + [at + more for at in (4096, 16384, 65536, 262144) for more in range(-2, 3)]
    with Cluster(ingress=1, dispatchers=0, couriers=0, settings=PLAIN) as cluster:
        for at in edges:
            text = (b"X: " + b"y" * 70 + b"\r\n\r\n" + (b"z" * 98 + b"\r\n") * 2700)[:at]
            text = text[:-1] + b"z" if text.endswith(b"\r") else text
            content = text + octet + b"z\r\nend\r\n"
            client = start_data(greeted(cluster))
            if octet == b"\xff":
                ulid = end_data(client, content)
                assert stored_content(cluster, ulid, at).endswith(content)
            else:
                end_data(client, content, b"554 5.6.0")
            client.socket.close()
