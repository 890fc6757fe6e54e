"""
Many clients at once: 10,000 idle sessions and 500 slow uploads of 10 MB, and what other clients see of them; memory per session of each kind.

  tests/bench/crowd.py [--idle N] [--slow N] [--megabytes N]
"""

import argparse
import asyncio
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.cluster import Cluster  # noqa: E402

import memory  # noqa: E402

PROBES, PROBE_PAUSE_S = 200, 0.05
PIECE_BYTES, PIECE_PAUSE_S = 16384, 0.25  # of a slow upload: 64 KiB a second
WORDS = [f"word{number * 7919 % 10007:05}" for number in range(5000)]  # text that packs about as mail does


async def say(streams, line, code):
    """Sends a line (None: waits only) and reads its reply."""
    reader, writer = streams
    if line is not None:
        writer.write(line + b"\r\n")
    while True:
        reply = await asyncio.wait_for(reader.readline(), 120)
        if not reply.startswith(code):
            raise AssertionError(f"{line!r} was answered {reply!r}")
        if reply[3:4] != b"-":
            return


async def session(address, tls=None):
    streams = await asyncio.open_connection(*address, ssl=tls, server_hostname="relay.test" if tls else None)
    await say(streams, None, b"220")
    await say(streams, b"EHLO client.bench.test", b"250")
    return streams


async def many(make, count, together=100):
    """`count` of make(), some at a time."""
    made = []
    while len(made) < count:
        made += await asyncio.gather(*(make() for _ in range(min(together, count - len(made)))))
    return made


async def begin_content(streams):
    await say(streams, b"MAIL FROM:<slow@bench.test>", b"250")
    await say(streams, b"RCPT TO:<to@sink.test>", b"250")
    await say(streams, b"DATA", b"354")


async def upload(address, megabytes, begun):
    """One slow client, from its greeting to the 250."""
    streams = await session(address)
    await begin_content(streams)
    line = (" ".join(WORDS[:9]) + "\r\n").encode()
    piece, sent = line * (PIECE_BYTES // len(line)), 0
    begun()
    while sent < megabytes << 20:
        streams[1].write(piece)
        await streams[1].drain()
        sent += len(piece)
        await asyncio.sleep(PIECE_PAUSE_S)
    await say(streams, b".", b"250")
    streams[1].close()


async def probe(address):
    """Seconds from connect to greeting and from the dot to 250, of small messages one after the other."""
    greetings, dots = [], []
    for _ in range(PROBES):
        began = time.monotonic()
        streams = await session(address)
        greetings.append(time.monotonic() - began)
        await begin_content(streams)
        began = time.monotonic()
        await say(streams, b"Subject: probe\r\n\r\nhello\r\n.", b"250")
        dots.append(time.monotonic() - began)
        streams[1].close()
        await asyncio.sleep(PROBE_PAUSE_S)
    return {"greeting_ms": spread(greetings), "dot_ms": spread(dots)}


def spread(seconds):
    cuts = statistics.quantiles(seconds, n=100)
    return [cuts[49] * 1000, cuts[98] * 1000, max(seconds) * 1000]


async def crowd(node, args):
    found = {"alone": await probe(node.smtp)}
    before = memory.pss_bytes(node.pid)
    idle = await many(lambda: session(node.smtp), args.idle)
    found["idle_bytes"] = (memory.pss_bytes(node.pid) - before) / args.idle
    found["idle"] = await probe(node.smtp)
    before = memory.pss_bytes(node.pid)
    begun = []
    uploads = [asyncio.create_task(upload(node.smtp, args.megabytes, lambda: begun.append(1))) for _ in range(args.slow)]
    while len(begun) < args.slow:
        await asyncio.sleep(0.1)
    found["slow"] = await probe(node.smtp)
    found["slow_bytes"] = (memory.pss_bytes(node.pid) - before) / args.slow
    await asyncio.gather(*uploads)
    for _, writer in idle:
        writer.close()
    return found


def measure(args):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    most = 2 * (args.idle + args.slow)  # stress begins below the limit
    settings = {"ingress": {"max_sessions": most, "max_sessions_per_client": most}}
    with Cluster(dispatchers=0, couriers=0, settings=settings) as cluster:
        return asyncio.run(crowd(cluster.of("ingress")[0], args))


def report(found, args):
    print(f"\na crowd: {args.idle} idle sessions, then {args.slow} uploads of {args.megabytes} MB at 64 KiB/s beside them")
    print("other clients, ms: p50 / p99 / worst        connect to EHLO's reply        dot to 250")
    for name, words in (("alone", "nobody else"), ("idle", "with idle sessions"), ("slow", "with both")):
        each = ["".join(f"{ms:9.2f}" for ms in found[name][kind]) for kind in ("greeting_ms", "dot_ms")]
        print(f"  {words:34} {each[0]:>32} {each[1]:>28}")
    print(f"  an idle session {found['idle_bytes']:.0f} bytes (target {memory.SESSION_TARGET}); a slow upload {found['slow_bytes']:.0f} bytes (a chunk is 262,000)")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10000)
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--megabytes", type=int, default=10)
    return parser


if __name__ == "__main__":
    chosen = arguments().parse_args()
    report(measure(chosen), chosen)
