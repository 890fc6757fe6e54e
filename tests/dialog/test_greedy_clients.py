"""Clients that never come to an end of what they say: the memory they get does not grow with it, and where it leads to nothing they are sent away."""

import base64
import os
import re
import socket
import threading

import pytest

from harness import paths, wait
from test_dialogs import waiting
from test_ingress import ask, end_data, open_transaction
from test_sessions import greeted, ingress, proxy

pytestmark = pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")

PLAIN = paths.BUILD.partition("/san-")[0]  # a sanitizer keeps what was freed
PIECE = b"x" * (1 << 20)
LISTENERS = {"relay": {"role": "relay", "max_errors": 1000},
             "login": {"role": "internal", "auth": "offered", "auth_without_tls": "yes"},
             "behind": {"role": "relay", "proxy": "required", "balancers": ["127.0.0.0/8"]}}
MOST = 24 << 20  # more than it had, while hundreds of megabytes come


def rss(cluster):
    with open(f"/proc/{cluster.nodes[0].pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Growth:
    """The most that the ingress grew meanwhile."""

    def __init__(self, cluster):
        self.cluster, self.before, self.most, self._is_over = cluster, rss(cluster), 0, threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._is_over.wait(0.01):
            self.most = max(self.most, rss(self.cluster) - self.before)

    def __exit__(self, kind, *_):
        self._is_over.set()
        self._thread.join()
        print(f"grew by {self.most >> 10} KiB")
        assert kind or self.most < MOST, f"{self.most >> 10} KiB"


@pytest.fixture(scope="module")
def cluster():
    with ingress(LISTENERS, build=PLAIN) as running:
        yield running


def pour(client, megabytes):
    """What was told until the connection was closed, which is while this comes, or soon after."""
    client.socket.settimeout(20)
    told = b""
    try:
        for _ in range(megabytes):
            client.socket.sendall(PIECE)
    except OSError:
        pass  # closed
    try:
        while more := client.socket.recv(65536):
            told += more
    except ConnectionError:
        pass
    client.socket.close()
    return told


# proves: B10 M01
@pytest.mark.parametrize("where", ["command", "parameter", "login", "response", "header of a balancer"])
def test_a_line_without_end_ends_the_session(cluster, where):
    with Growth(cluster):
        for _ in range(3):
            if where == "header of a balancer":
                client = greeted(cluster, "relay")
                client.socket.close()
                client.socket = socket.create_connection(cluster.address("behind"))
                client.say(proxy(b"192.0.2.7")[:-2], False)
            else:
                client = greeted(cluster, "login" if where in ("login", "response") else "relay")
                ask(client, b"EHLO client.example", b"250")
            if where == "parameter":
                client.say(b"MAIL FROM:<a@b.example> X=", False)
            if where == "login":
                client.say(b"AUTH PLAIN ", False)
            if where == "response":
                ask(client, b"AUTH PLAIN", b"334")
            told = pour(client, 100)
            assert told.startswith(b"500 5.5.") and told.count(b"\n") == 1 or told == b"", told
    wait.until(lambda: cluster.metric("barid_sessions") == 0, 20, "the sessions are gone")


# proves: B28 M01
def test_chunks_without_a_transaction_are_read_past(cluster):
    with Growth(cluster):
        client = greeted(cluster, "relay")
        ask(client, b"EHLO client.example", b"250")
        for _ in range(5):
            client.say(b"BDAT %d\r\n" % (60 << 20) + PIECE * 60, False)
            assert client.reply("chunk").startswith(b"503 5.5.1")
        ask(client, b"BDAT 1000000000", b"503")
        assert client.at_end()


# proves: B26 B32 M01 M02
@pytest.mark.parametrize("how", ["a line", "lines", "chunks"])
def test_content_without_end_is_refused_at_its_end(cluster, how):
    """300 MB of one line; of lines, where the size is what is refused; and in chunks."""
    with Growth(cluster):
        client = greeted(cluster, "relay")
        open_transaction(client)
        if how == "chunks":
            codes = set()
            for _ in range(6):
                client.say(b"BDAT %d\r\n" % (50 << 20) + (PIECE[:998] + b"\r\n") * ((50 << 20) // 1000) + b"y" * ((50 << 20) % 1000), False)
                codes.add(client.reply("chunk")[:9])
            assert codes <= {b"250 2.0.0", b"552 5.3.4", b"503 5.5.1"} and b"552 5.3.4" in codes, codes
        else:
            ask(client, b"DATA", b"354")
            piece = PIECE if how == "a line" else (PIECE[:998] + b"\r\n") * 1048
            for _ in range(300):
                client.say(piece, False)
            client.say(b"\r\n.\r\n", False)
            assert client.reply("dot").startswith(b"554 5.6.0" if how == "a line" else b"552 5.3.4")
        ask(client, b"NOOP", b"250")
        client.socket.close()
    wait.until(lambda: cluster.metric("barid_unstored_bytes") == 0, 20, "no content is held")
    assert waiting(cluster) == 0


# proves: B28 M02
def test_a_million_chunks_of_one_octet_are_one_small_message(cluster):
    count, group = 1000000, 1000
    with Growth(cluster):
        client = greeted(cluster, "relay")
        open_transaction(client)
        chunks = b"".join(b"BDAT 1\r\n" + bytes([octet]) for octet in (b"X: y\r\n\r\n" + b"z" * 990 + b"\r\n")[:group])

        def read():
            heard = b""
            for _ in range(count // group):
                while heard.count(b"\n") < group:
                    heard += client.socket.recv(65536)
                assert heard.count(b"\n250 2.0.0") + heard.startswith(b"250 2.0.0") == group
                heard = b""
                is_read.release()
        is_read = threading.Semaphore(0)
        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(count // group):
            client.socket.sendall(chunks)
            assert is_read.acquire(timeout=30)
        reader.join()
        client.say(b"BDAT 0 LAST\r\n", False)
        assert re.match(rb"250 2.0.0 Ok: queued", client.reply("last"))
    with cluster.redis.client() as redis:
        stored = sum(redis.strlen(key) for key in redis.keys(b"b:*"))
        assert count <= stored < count + 1000
        redis.flushall()


ODD = {
    "names of the language": (b"__proto__: x\r\nconstructor: y\r\nhasOwnProperty: z\r\n", b"250"),
    "a name of 10 KB": (b"N" * 10000 + b": x\r\n", b"250"),
    "no name": (b": x\r\n:\r\n", b"250"),
    "a blank before the colon": (b"Subject : x\r\nFrom\t: y\r\n", b"250"),
    "singletons twice": (b"From: a\r\nFrom: b\r\nDate: c\r\nDate: d\r\nMessage-ID: <e>\r\nMessage-ID: <f>\r\n", b"250"),
    "1999 lines": (b"X: y\r\n" * 1999, b"250"),
    "100000 lines": (b"X: y\r\n" * 100000, b"554 5.6.0"),
    "a field of 900 KB": (b"X: " + b"y" * 900 + b"\r\n" + (b" " + b"z" * 900 + b"\r\n") * 1000, b"250"),
    "a field of 2 MB": (b"X: " + b"y" * 900 + b"\r\n" + (b" " + b"z" * 900 + b"\r\n") * 2300, b"552 5.3.4"),
    "a line of 1 MB": (b"X: " + b"y" * (1 << 20) + b"\r\n", b"55"),
}


# proves: G07 M01
@pytest.mark.parametrize("name", ODD)
def test_an_odd_header_is_taken_as_it_is_or_refused(cluster, name):
    header, wanted = ODD[name]
    with Growth(cluster):
        client = greeted(cluster, "relay")
        open_transaction(client)
        ask(client, b"DATA", b"354")
        end_data(client, b"X-First: 1\r\n" + header + b"\r\nbody\r\n", wanted)
        ask(client, b"NOOP", b"250")
        client.socket.close()


# proves: D06
def test_responses_of_any_length_are_bounded(cluster):
    with Growth(cluster):
        client = greeted(cluster, "login")
        ask(client, b"EHLO client.example", b"250")
        for length in (1, 2, 3, 4, 9213, 9214, 9215, 12288):
            text = base64.b64encode(b"\0" * length)
            ask(client, b"AUTH PLAIN", b"334")
            client.say(text + b"\r\n", False)
            assert client.reply(length)[:3] in (b"501", b"535", b"500", b"454")
