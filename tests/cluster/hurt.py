"""A cluster under steady load that is hurt: two of each role, hosts that refuse and defer some, transactions open at all times."""

import os
import random

from harness import wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink, reply

DOMAINS = [f"k{n}.test" for n in range(12)]
HOSTS = [f"127.0.0.{n}" for n in range(1, 7)]
SEED = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 31)))


def zone(hosts=HOSTS):
    made = Zone().mx("origin.test", "mx.origin.test").a("mx.origin.test", hosts[0])
    for number, domain in enumerate(DOMAINS):
        made.mx(domain, f"mx.{domain}").a(f"mx.{domain}", hosts[number % len(hosts)])
    return made


def message(rng):
    """One to four recipients in one to four domains; some fail, some are deferred once."""
    def make(number):
        count = rng.choice([1, 1, 1, 2, 4])
        return "s@origin.test", [f"{rng.choice(['r', 'r', 'r', 'r', 'no', 'later'])}{number}-{i}@{rng.choice(DOMAINS)}" for i in range(count)]
    return make


class Scene:
    """
    Cluster, sink and load of these tests. Others redefine load() and what comes before it, prepare(). world: the host of network.py where
    clients, mail hosts and DNS are.
    """

    def __init__(self, seed, settings=None, world=None, **cluster):
        self.rng = random.Random(seed)
        print(f"seed {seed} (KILL_SEED={seed} repeats the schedule)", flush=True)
        self.world, hosts = world, HOSTS if world is None else [world.add_address() for _ in HOSTS]
        self.sink = ScriptedSink(hosts, host=world)
        self.dns = Dns(zone(hosts), host=world)
        self.cluster_options = cluster
        self.settings = {"courier": {"port": self.sink.port}, "retry": {"first": "300ms", "longest": "2s"}, **(settings or {})}

    def load(self):
        return Generator(self.cluster.addresses, message(self.rng), sessions=30, rate=150, linger=0.03, seed=self.rng.random(),
                         host=self.world)

    def prepare(self):
        pass

    def __enter__(self):
        self.sink.__enter__()
        self.dns.__enter__()
        self._refuse()
        self.cluster = Cluster(ingress=2, dispatchers=2, couriers=2, dns_port=self.dns.address, settings=self.settings, seed=self.rng.random(),
                               **self.cluster_options)
        self.cluster.__enter__()
        self.prepare()
        self.generator = self.load()
        self.generator.__enter__()
        return self

    def _refuse(self):
        self.deferred = set()

        def once(session, transaction, seen=self.deferred):
            name = session.commands[-1].partition("<")[2].partition(">")[0]
            if not name.startswith("later") or name in seen:
                return False
            seen.add(name)
            return True
        self.sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda s, t: "<no" in s.commands[-1])
        self.sink.rule("rcpt", reply("451 4.2.1 later"), match=once)

    def __exit__(self, kind, *rest):
        self.generator.__exit__(kind, *rest)
        self.cluster.__exit__(kind, *rest)
        self.dns.__exit__(kind, *rest)
        self.sink.__exit__(kind, *rest)

    def more(self, count, timeout=60):
        """Waits until `count` more recipients are acknowledged: the load runs, whatever was hurt."""
        self.generator.wait_acknowledged(len(self.generator.acknowledged()) + count, timeout)

    def settle(self):
        """The load ends, the queue empties; the ledger."""
        self.generator.stop()
        self.cluster.wait_empty(120)
        ledger = Ledger([self.generator], [self.sink], self.cluster.faults)
        print(ledger.text(), flush=True)
        return ledger

    def lost(self):
        """Recipients lost; the queue is given time to empty, but what is lost may have left anything behind."""
        self.generator.stop()
        try:
            self.cluster.wait_empty(60)
        except wait.Deadline:
            pass
        self.ledger = Ledger([self.generator], [self.sink], self.cluster.faults)
        print(self.ledger.text(), flush=True)
        return self.ledger.lost


def acknowledged_while_redis_stands_still(scene):
    """Redis stops, then loses power together with both ingresses: whatever was answered 250 meanwhile had nothing behind it."""
    scene.more(50)
    scene.cluster.redis.freeze()
    before = len(scene.generator.acknowledged())
    wait.until(lambda: scene.generator.open_now == scene.generator.sessions or len(scene.generator.acknowledged()) > before + 20, 20,
               "every session waits for its 250, or has it too early")
    for node in scene.cluster.of("ingress"):
        scene.cluster.kill(node)
    early = len(scene.generator.acknowledged()) - before
    scene.cluster.cut_redis()
    for node in scene.cluster.of("ingress"):
        scene.cluster.restart(node)
    return early
