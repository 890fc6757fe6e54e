"""
A cluster in a storm: any octets at every listening socket of every program, and from everybody it asks, while normal mail flows. What may not
happen: that a program ends, that a sanitizer has something to say, that mail is lost, or that descriptors or memory grow.
"""

import glob
import os
import random
import re
import shutil
import smtplib
import socket
import threading
import time

from garbler import Garbler
from mutation import spoilt
from weather import Gust, MailHosts, Octets, Sessions, Strangers, frames, requests, spoil_policies, spoilt_answers, spoilt_dovecot

from harness import paths, ports, wait
from harness.cluster import Cluster
from harness.dns import ScriptedDns, Zone
from harness.dovecot import ScriptedDovecot
from harness.entrance import Entrance
from harness.generator import Generator
from harness.ledger import Ledger
from harness.policy_host import PolicyHost
from harness.redis import RedisServer
from harness.sink import ScriptedSink

CALM, ORIGIN = "calm.test", "origin.test"
WILD = [f"wild{n}.test" for n in range(4)]  # whose names are answered with anything
LOUD = [f"loud{n}.test" for n in range(3)]  # whose hosts say anything
STRICT = "sts.test"  # whose policy is anything
SINK, WILD_HOST, LOUD_HOSTS = "127.0.8.1", "127.0.7.9", ["127.0.7.1", "127.0.7.2", "127.0.7.3"]
WARM_S, MEMORY_BYTES, DESCRIPTORS = 5, 96 << 20, 40
_LISTENERS = {"proxied": {"role": "relay", "trusted_networks": ["127.0.0.0/8"], "proxy": "required", "balancers": ["127.0.0.0/8"]}}
_SETTINGS = {"auth": {"backends": ["users", "dovecot"], "failure_delay": "0s", "failures_per_client": "", "failures_per_user": "", "timeout": "2s"},
             "retry": {"first": "200ms", "longest": "2s", "lifetime": "30s"},
             "pools": {"default": {"addresses": ["127.0.0.1"]}},  # so nothing leaves this host, whatever the answers are
             "bus": {"key_age": "20s"}}


def _listening(node):
    """The TCP ports a node listens on."""
    folder = f"/proc/{node.pid}/fd"
    inodes = {os.readlink(os.path.join(folder, name)) for name in os.listdir(folder) if os.path.lexists(os.path.join(folder, name))}
    rows = []
    for family in ("tcp", "tcp6"):
        with open(f"/proc/{node.pid}/net/{family}", encoding="ascii") as table:
            rows += [line.split() for line in table][1:]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


class Sample:
    """What a node has now."""

    def __init__(self, node):
        self.descriptors = len(os.listdir(f"/proc/{node.pid}/fd"))
        with open(f"/proc/{node.pid}/status", encoding="ascii") as lines:
            self.memory = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

    def __str__(self):
        return f"{self.memory >> 20} MiB, {self.descriptors} descriptors"


class Storm:
    """run() it: .problems are sentences; .counts says how often each gust blew. planted: {role: another program}."""

    def __init__(self, seconds, seed, planted=None, say=print, rate=20):
        self.seconds, self.seed, self.planted, self.say, self.rate = seconds, seed, planted or {}, say, rate
        self.is_over = threading.Event()
        self.problems, self.counts, self.samples = [], {}, {}
        self.folder = paths.scratch("storm")

    def dice(self, name):
        return random.Random(f"{self.seed}/{name}")

    # -- the scene

    def _programs(self):
        """A build whose programs are those of BUILD, or planted ones."""
        folder = os.path.join(self.folder, "build", "bin")
        os.makedirs(folder)
        for program in ("barid-ingress", "barid-dispatcher", "barid-courier", "baridctl"):
            os.symlink(self.planted.get(program.partition("-")[2]) or paths.program(program), os.path.join(folder, program))
        return os.path.dirname(folder)

    def _environment(self):
        place = f"log_path={self.folder}/sanitizer"
        return {"ASAN_OPTIONS": f"{place}:detect_leaks=1:quarantine_size_mb=16:malloc_context_size=12", "UBSAN_OPTIONS": f"{place}:print_stacktrace=1:halt_on_error=1"}

    def _zone(self):
        zone = Zone(ttl=1).mx(STRICT, f"mx.{STRICT}").a(f"mx.{STRICT}", LOUD_HOSTS[0]).a(f"mta-sts.{STRICT}", "127.0.0.1").txt(f"_mta-sts.{STRICT}", "v=STSv1; id=1;")
        for domain in WILD:
            zone.mx(domain, f"mx.{domain}").a(f"mx.{domain}", WILD_HOST)
        for domain, host in zip(LOUD, LOUD_HOSTS):
            zone.mx(domain, f"mx.{domain}").a(f"mx.{domain}", host)
        return zone

    def _gusts(self):
        node = self.cluster.of("ingress")[0]
        for name in ("relay", "submission"):
            yield name, Sessions(node.listeners[name])
        yield "submissions", Sessions(node.listeners["submissions"], is_implicit=True)
        yield "proxied", Sessions(node.listeners["proxied"], is_proxied=True)
        dispatcher = self.cluster.of("dispatcher")[0]
        hub = next(port for port in _listening(dispatcher) if port != dispatcher.http_port)
        yield "bus", frames(("127.0.0.1", hub))
        yield "strangers", Strangers(f"127.0.0.1:{hub}", self._hub_key)
        for each in self.cluster.nodes:
            yield f"http of {each.name}", requests(("127.0.0.1", each.http_port))
        anywhere = [("127.0.0.1", port) for each in self.cluster.nodes for port in sorted(_listening(each))]
        yield "everywhere", lambda dice: Octets(dice.choice(anywhere), [b"\0", b"\xff", b"\r\n", b"GET / HTTP/1.0\r\n\r\n", b"EHLO a\r\n"])(dice)
        yield "Redis", self._spoil_redis
        yield "policies", spoil_policies(self, self.policy_host, STRICT)
        yield "letters", self._write

    def _hub_key(self):
        found = re.findall(r"event=bus_key .*key=(\S+)", self.cluster.of("dispatcher")[0].log_text())
        return found[-1].strip('"') if found and len(found[-1].strip('"')) == 40 else "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

    def _spoil_redis(self, dice):
        self.redis.spoil()
        self.is_over.wait(dice.uniform(0.5, 2))

    def _write(self, dice):
        """Mail that nobody will miss, to those who answer anything; and logins that ask Dovecot."""
        self.is_over.wait(0.2)
        try:
            with smtplib.SMTP(*self.cluster.of("ingress")[0].listeners["relay"], timeout=10) as client:
                recipient = dice.choice(WILD + LOUD + [STRICT] * 2)
                client.sendmail("", [f"r{dice.randrange(1000)}@{recipient}"], b"Subject: storm\r\n\r\n" + dice.randbytes(10).hex().encode() + b"\r\n")
            with smtplib.SMTP(*self.cluster.of("ingress")[0].listeners["submission"], timeout=10) as client:
                client.starttls(context=self.entrance.context)
                client.login(f"stranger{dice.randrange(100)}@{ORIGIN}", "secret")
        except smtplib.SMTPException:
            pass  # refused, as may be

    # -- the course

    def run(self):
        with ScriptedSink([SINK]) as self.sink, ScriptedDns(self._zone()) as dns, ScriptedDovecot(spoilt_dovecot(self)) as dovecot:
            for domain in WILD:
                for name in (domain, f"mx.{domain}"):
                    dns.on(name, "ANY", spoilt_answers(self, name))
            hosts = MailHosts(self, LOUD_HOSTS + [WILD_HOST], self.sink.port)
            self.entrance = Entrance(is_limited=False)
            server = RedisServer(os.path.join(self.folder, "redis"))
            server.start()
            self.redis = Garbler(ports.free_port(), server.url.partition(":")[2], self.dice("redis"))
            try:
                with PolicyHost(self.entrance.authority) as self.policy_host:
                    self._course(dns, dovecot, server)
            finally:
                hosts.close()
                self.redis.close()
                server.stop()
                self.entrance.close()
        self._read_reports()
        self.counts["mail hosts"] = hosts.count
        self.counts["spoilt replies of Redis"] = self.redis.spoilt
        if not self.problems:
            shutil.rmtree(self.folder, ignore_errors=True)
        return self

    def _settings(self, dns, dovecot):
        authority = self.entrance.authority
        return {**_SETTINGS, **self.entrance.settings, "auth": {**_SETTINGS["auth"], "dovecot_socket": dovecot.address}, "store": {"address": self.redis.address},
                "dns": {"servers": [f"127.0.0.1:{dns.port}"]},
                "tls_out": {"ca": authority.ca, "sts_ca": authority.ca, "sts_port": self.policy_host.port, "sts_retry": "300ms", "sts_wait": "2s",
                            "sts_fetch_time": "2s", "sts_min_age": "1s"},
                "courier": {"port": self.sink.port, "connect_timeout": "2s", "routes": {name: f"{SINK}:{self.sink.port}" for name in (CALM, ORIGIN)}}}

    def _course(self, dns, dovecot, server):
        cluster = Cluster(settings=self._settings(dns, dovecot), listeners={**self.entrance.listeners, **_LISTENERS}, build=self._programs(), redis=server,
                          environment=self._environment())
        with cluster as self.cluster:
            pids = {node.name: node.pid for node in cluster.nodes}
            self.entrance.open(cluster)
            doors = list(self.entrance.doors(cluster))
            with Generator(doors, lambda n: (f"ann@{ORIGIN}", [f"r{n}@{CALM}"]), sessions=6, rate=self.rate, seed=self.seed) as load:
                load.wait_acknowledged(20)
                gusts = [Gust(self, name, blow) for name, blow in self._gusts()]
                for gust in gusts:
                    gust.start()
                self._watch(pids)
                self.is_over.set()
                for gust in gusts:
                    gust.join(30)
                    self.counts[gust.name] = gust.count
                    if gust.failure:
                        self.problems.append(f"the storm itself: {gust.name}: {gust.failure!r}")
                if self._are_alive(pids):
                    self._calm_down(dns, load, pids)

    def _are_alive(self, pids):
        dead = [node for node in self.cluster.nodes if not node.process.alive() or node.pid != pids[node.name]]
        self.problems += [f"{node.name} ended with {node.process.returncode}: {_last_words(node)}" for node in dead]
        return not dead

    def _watch(self, pids):
        """Until the storm is over, or somebody has ended."""
        began = time.monotonic()
        while time.monotonic() < began + self.seconds:
            if not all(node.process.alive() for node in self.cluster.nodes):
                return
            past = time.monotonic() - began
            if past >= WARM_S:
                for node in self.cluster.nodes:
                    self.samples.setdefault(node.name, []).append(Sample(node))
            self.is_over.wait(min(5, max(0.1, self.seconds / 10)))

    def _calm_down(self, dns, load, pids):
        for domain in WILD:
            for name in (domain, f"mx.{domain}"):
                dns.clear(name, "ANY")
        try:
            load.stop()
            wait.until(lambda: load.acknowledged() <= set(self.sink.copies()), 60, "all that was taken is delivered")
            wait.until(lambda: all(node.is_ready() for node in self.cluster.nodes), 30, "all nodes are ready")
            self.counts["messages"] = len(load.acknowledged())
            Ledger([load], [self.sink], self.cluster.faults).assert_balanced()
            self.cluster.baridctl("queue", "delete", "*", "--yes", timeout=60)
            self._judge_growth()
        except (AssertionError, wait.Deadline) as failure:
            self.problems.append(str(failure))
        self._are_alive(pids)

    def _judge_growth(self):
        """Descriptors go back to what they were; memory does not grow from the middle of the storm to its end."""
        def is_back(node):
            return len(os.listdir(f"/proc/{node.pid}/fd")) <= max(40, min(s.descriptors for s in self.samples[node.name])) + DESCRIPTORS
        for node in self.cluster.nodes:
            wait.until(lambda node=node: is_back(node), 40, lambda node=node: f"{node.name} gives its descriptors back; it has {Sample(node)}")
            course = self.samples[node.name]
            middle, last = course[len(course) // 2], Sample(node)
            self.say(f"{node.name}: {course[0]}; {middle}; after it {last}")
            if last.memory > middle.memory + MEMORY_BYTES:
                self.problems.append(f"{node.name} grows: {course[0]}; {middle}; {last}")

    def _read_reports(self):
        for path in sorted(glob.glob(os.path.join(self.folder, "sanitizer.*"))):
            with open(path, encoding="utf-8", errors="replace") as file:
                self.problems.append(f"{os.path.basename(path)}: {file.read()[:6000]}")


def _last_words(node):
    lines = [line for line in node.log_text().splitlines() if "bug:" in line or "ERROR" in line]
    return lines[-1] if lines else ""
