"""What is not meant for strangers may be reached by them all the same: any bytes at the bus, metrics and health ports end no node and stop no mail."""

import contextlib
import os
import random
import socket
import struct

from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink

HOST, HOME = "127.0.8.1", "127.0.8.2"
SEED = int(os.environ.get("GARBAGE_SEED") or random.SystemRandom().randrange(1 << 31))
LISTENING = "0A"
ZMTP = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(16) + b"\0" * 32
CURVE = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(15) + b"\0" * 32
READY = b"\4\x29\5READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0"


def listening(node):
    """The TCP ports a node listens on."""
    folder = f"/proc/{node.pid}/fd"
    inodes = {os.readlink(os.path.join(folder, name)) for name in os.listdir(folder) if os.path.lexists(os.path.join(folder, name))}
    rows = []
    for family in ("tcp", "tcp6"):
        with open(f"/proc/{node.pid}/net/{family}") as table:
            rows += [line.split() for line in table][1:]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in inodes}


def garbage(dice):
    """Octets of many kinds: none, random, half of something, the bus' own language with nonsense in it."""
    def message(body, flags=0):
        return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body
    yield b""
    yield b"\0"
    yield b"\xff"
    yield from (dice.randbytes(size) for size in (1, 9, 64, 1000, 70000))
    yield from (ZMTP[:cut] for cut in (1, 10, 12, 33, 63))
    yield ZMTP + dice.randbytes(200)
    yield ZMTP + READY
    yield from (CURVE[:cut] for cut in (12, 17, 33, 64))
    yield CURVE + dice.randbytes(300)
    yield CURVE + READY
    yield CURVE + b"\4\xc8\5HELLO\1\0" + bytes(72) + dice.randbytes(120)  # a well-formed HELLO that nobody can open
    yield CURVE + b"\4\xc8\5HELLO\1\0" + dice.randbytes(192) + message(b"\x08INITIATE" + dice.randbytes(300), 4)
    yield CURVE + b"\4\x0b\5ERROR\4what"
    yield CURVE + message(b"\7MESSAGE" + dice.randbytes(60)) + message(bytes(300000))
    for body in (b"", b"\0", dice.randbytes(50), b"\x0a" * 5000, b"\xff" * 9, b"\x1a\x05\x08\xff\xff\xff\xff", bytes(300000)):
        yield ZMTP + READY + message(body)
        yield ZMTP + READY + message(b"", 1) + message(body)
    yield ZMTP + READY + b"\2" + b"\xff" * 8
    yield ZMTP + READY + b"\6\x7f\xff\xff\xff\xff\xff\xff\xff" + b"x" * 100
    yield b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000
    yield b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"
    yield b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"
    yield b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"
    yield b"GET /../../../etc/passwd HTTP/1.0\r\n\r\n"
    yield b"\x16\3\1\2\0\1\0\1\xfc\3\3" + dice.randbytes(500)


# proves: M04 M05
def test_any_bytes_at_the_bus_and_at_metrics_do_no_harm():
    dice = random.Random(SEED)
    print(f"GARBAGE_SEED={SEED}")
    with ScriptedSink([HOST, HOME]) as sink:
        settings = {"courier": {"port": sink.port, "routes": {"one.test": f"{HOST}:{sink.port}", "origin.test": f"{HOME}:{sink.port}"}}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            ports = {port for node in cluster.nodes for port in listening(node)} - {address[1] for address in cluster.addresses}
            assert len(ports) >= 4, "metrics of three, and the bus"
            for port in sorted(ports):
                with contextlib.ExitStack() as stack:
                    for octets in garbage(dice):
                        stranger = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                        with contextlib.suppress(OSError):  # it may be closed before all is said
                            stranger.settimeout(2)
                            stranger.sendall(octets)
                    post.wait_delivered(post.send(f"r{port}@one.test"))
            assert all(node.process.alive() and node.is_ready() for node in cluster.nodes)
            wait.until(lambda: all(node.metrics().get("barid_store_ready") == 1 for node in cluster.nodes), 20, "metrics are served")
            post.wait_delivered(post.send("last@one.test"))
            post.assert_balanced()
