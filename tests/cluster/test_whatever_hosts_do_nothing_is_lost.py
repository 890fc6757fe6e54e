"""Hosts that do anything at any step, drawn at random: every message arrives or comes back, and every second copy has its reason."""

import os
import random

from post import Places

from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink, drop, garbage, reply, split, stall

SEED = int(os.environ.get("HOSTS_SEED", random.SystemRandom().randrange(1 << 31)))
STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "dot", "rset", "quit")


def mischief(rng):
    """(stage, action) pairs: each happens now and then."""
    for stage in STAGES:
        yield stage, reply("421 4.3.2 going", then_drop=True)
        yield stage, reply("450 4.2.0 wait")
        yield stage, reply("451-4.3.0 two\n451 4.3.0 lines")
        yield stage, drop(taken=rng.random() < 0.5)
        yield stage, garbage(rng.choice([b"\x00\xff\r\n", b"250-\r\n550 changed\r\n", b"2\r\n", b"x" * 3000 + b"\r\n"]))
        yield stage, stall(0.1 if stage == "dot" else 0.4)  # a reply to the dot that comes too late would look like one in time
        yield stage, split({"connect": "220 sink.test", "data": "354 go", "ehlo": "250-sink.test\n250 PIPELINING"}.get(stage, "250 2.0.0 Ok"))
    yield "body", drop(after=200)
    yield "rcpt", reply("452 4.5.3 too many")
    yield "rcpt", reply("550 5.1.1 no such user")
    yield "mail", reply("250 2.0.0 Ok\n250 2.0.0 Ok")
    yield "dot", reply("554 5.6.0 not wanted")


# proves: A05 A06 H05 H06 H09 H13 H15 K01
def test_nothing_is_lost_among_misbehaving_hosts():
    print(f"seed {SEED} (HOSTS_SEED={SEED} repeats it)", flush=True)
    rng = random.Random(SEED)
    places = Places(6)
    with ScriptedSink(places.hosts()) as sink:
        sink.rule("dot", drop(taken=True), times=3, match=lambda session, _: session.host != places.HOME)
        for stage, action in mischief(rng):
            sink.rule(stage, action, match=lambda session, _: session.host != places.HOME and rng.random() < 0.02)
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port), "idle_time": "300ms", "greeting_timeout": "250ms",
                                "command_timeout": "250ms", "data_timeout": "250ms", "block_timeout": "1s", "dot_timeout": "2s"},
                    "retry": {"first": "50ms", "longest": "300ms", "lifetime": "5min"}}

        def message(number):
            chosen = rng.sample(places.all, rng.choice([1, 1, 1, 2]))
            return "s@origin.test", [place.address(f"r{number}-{n}") for place in chosen for n in range(rng.choice([1, 1, 3]))]
        with Cluster(couriers=2, settings=settings) as cluster:
            with Generator(cluster.addresses, message, sessions=10, limit=250, rate=100, seed=SEED) as generator:
                generator.wait_done()
                cluster.wait_empty(60)
            ledger = Ledger([generator], [sink], cluster.faults)
            print(ledger.text(), flush=True)
            ledger.assert_balanced()
            assert ledger.explained, "three replies to a dot were lost"
