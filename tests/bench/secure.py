"""
What TLS and AUTH cost: handshakes per second, full and resumed (openssl s_time), and submission with and without them, as processor time of
ingress per message (the generator is slower than ingress, so its rate says little).

  tests/bench/secure.py [--messages N]
"""

import argparse
import asyncio
import base64
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import paths  # noqa: E402
from harness.authority import Authority  # noqa: E402
from harness.cluster import Cluster  # noqa: E402

import crowd  # noqa: E402

USER, PASSWORD = "bench@bench.test", "a password of the bench"
TICK = os.sysconf("SC_CLK_TCK")
SESSIONS, SECONDS = 20, 5
CONTENT = b"Subject: bench\r\n\r\n" + (b"x" * 78 + b"\r\n") * 50 + b".\r\n"
LISTENERS = {
    "plain": {"role": "internal", "trusted_networks": ["127.0.0.0/8"]},
    "secure": {"role": "internal", "trusted_networks": ["127.0.0.0/8"], "tls": "implicit"},
    "submission": {"role": "submissions", "auth": "required"},
}


def seconds_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICK


def handshakes(node, ca, is_resumed):
    """(per second, processor ms of ingress each). s_time goes before a ticket of TLS 1.3 comes: resumed ones are of 1.2."""
    host, port = node.listeners["secure"]
    before = seconds_of(node.pid)
    done = subprocess.run(["openssl", "s_time", "-connect", f"{host}:{port}", "-CAfile", ca, "-time", str(SECONDS), *(("-reuse", "-tls1_2") if is_resumed else ("-new",))],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    count = int(re.search(rb"^(\d+) connections in (\d+) real seconds", done.stdout, re.MULTILINE).group(1))
    return count / SECONDS, (seconds_of(node.pid) - before) * 1000 / count


async def submit(address, tls, has_auth, count, per_session):
    """`count` messages, `per_session` over each connection."""
    async def worker(share):
        while share > 0:
            streams = await crowd.session(address, tls)
            if has_auth:
                await crowd.say(streams, b"AUTH PLAIN " + base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()), b"235")
            for _ in range(min(share, per_session)):
                await crowd.say(streams, f"MAIL FROM:<{USER}>".encode(), b"250")
                await crowd.say(streams, b"RCPT TO:<to@sink.test>", b"250")
                await crowd.say(streams, b"DATA", b"354")
                streams[1].write(CONTENT)
                await crowd.say(streams, None, b"250")
            share -= per_session
            streams[1].close()
    await asyncio.gather(*(worker(count // SESSIONS) for _ in range(SESSIONS)))


def cost(node, listener, tls, count, per_session):
    """Processor ms of ingress per message."""
    address, has_auth = node.listeners[listener], listener == "submission"
    asyncio.run(submit(address, tls, has_auth, SESSIONS, 1))
    before = seconds_of(node.pid)
    asyncio.run(submit(address, tls, has_auth, count, per_session))
    return (seconds_of(node.pid) - before) * 1000 / count


def measure(messages):
    authority = Authority(paths.scratch("authority"))
    tls = authority.client()
    found = {"handshakes": {}, "cost": {}}
    settings = {"tls": {"certificates": [authority.issue("relay.test")]}}
    with Cluster(dispatchers=0, couriers=0, settings=settings, listeners=LISTENERS) as cluster:
        cluster.add_user(USER, PASSWORD)
        node = cluster.of("ingress")[0]
        for name, is_resumed in (("full", False), ("resumed", True)):
            found["handshakes"][name] = handshakes(node, authority.ca, is_resumed)
        for listener in LISTENERS:
            for per_session in (messages, 1):
                found["cost"][listener, per_session] = cost(node, listener, None if listener == "plain" else tls, messages, per_session)
    return {"handshakes": found["handshakes"],
            "cost": [{"listener": name, "reused": per_session > 1, "ms": ms} for (name, per_session), ms in found["cost"].items()]}


def report(found):
    print("\nTLS handshakes (P-256)      per second   ms of ingress each")
    for name, (rate, each) in found["handshakes"].items():
        print(f"  {name:24} {rate:10.0f} {each:14.3f}")
    print("submission of 4 KiB, ms of ingress per message     reused   one per connection")
    for listener, words in (("plain", "neither TLS nor AUTH"), ("secure", "TLS"), ("submission", "TLS and AUTH PLAIN")):
        rows = {row["reused"]: row["ms"] for row in found["cost"] if row["listener"] == listener}
        print(f"  {words:46} {rows[True]:8.3f} {rows[False]:12.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    report(measure(parser.parse_args().messages))
