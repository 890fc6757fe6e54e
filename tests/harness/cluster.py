"""
A whole cluster on loopback: a private Redis, ingresses, dispatchers, couriers; hurt and counted by the test.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import yaml

from . import paths, ports, wait
from .ledger import Faults
from .network import NETWORK
from .process import Process, http_get
from .redis import RedisServer

ROLES = ("ingress", "dispatcher", "courier")
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{[^}]*\})?\s+(\S+)$")

# What differs from the programs' own defaults: loopback MX hosts are wanted, and nobody waits for minutes.
_SETTINGS = {
    "courier": {"allow_private": ["127.0.0.0/8"], "connect_timeout": "5s"},
    "retry": {"first": "200ms", "longest": "2s"},
    "dispatcher": {"pause_first": "200ms", "pause_longest": "2s"},
    "ingress": {"threads": 1},
    "dns": {"min_ttl": "0s", "negative_ttl": "0s", "timeout": "1s"},
    "node": {"drain_time": "10s"},
}


def merged(base, more):
    """Nested settings, those of `more` over those of `base`."""
    result = dict(base)
    for key, value in (more or {}).items():
        result[key] = merged(result.get(key) or {}, value) if isinstance(value, dict) else value
    return result


def parse_metrics(text):
    """{"name" or "name{labels}": value}"""
    found = {}
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if sample:
            found[sample.group(1) + (sample.group(2) or "")] = float(sample.group(3))
    return found


def _listener_address(name):
    """The environment that gives a listener of a node its address."""
    return f"BARID_LISTENERS_{name.upper().replace('-', '_')}_ADDRESS"


class Node:
    """
    One process of barid. For an ingress, `smtp` is (host, port) of its first listener, `listeners` those of all by
    name; without settings of listeners there is one of the name "relay".
    """

    def __init__(self, cluster, role, number):
        self.role, self.number = role, number
        self.name = f"{role}{number}"
        self.host = cluster.hosts.get(self.name)
        self.ip = self.host.ip if self.host else "127.0.0.1"
        self.http_port = ports.free_port()
        names = list(cluster.settings.get("listeners") or {"relay": {}}) if role == "ingress" else []
        self.listeners = {name: (self.ip, ports.free_port()) for name in names}
        self.smtp = next(iter(self.listeners.values()), None)
        env = {key: value for key, value in os.environ.items() if not key.startswith("BARID_")}
        env.update({"BARID_NODE_HTTP_LISTEN": f"{self.ip}:{self.http_port}",
                    "BARID_NODE_NAME": f"{self.name}.relay.test"})
        if self.host and role == "dispatcher":
            env["BARID_BUS_LISTEN"] = f"{self.ip}:0"
        for name, (host, port) in self.listeners.items():
            is_set = cluster.settings.get("listeners")
            env[_listener_address(name) if is_set else "BARID_INGRESS_LISTEN"] = f"{host}:{port}"
        env.update(cluster.user_of(role))
        env.update(cluster.environment)
        binary = os.path.join(cluster.build, "bin", f"barid-{role}")
        self.process = Process(self.name, [binary, "--config", cluster.conf],
                               os.path.join(cluster.folder, f"{self.name}.log"), env=env, cwd=cluster.folder, host=self.host)

    @property
    def pid(self):
        return self.process.pid

    def url(self, path):
        return f"http://{self.ip}:{self.http_port}{path}"

    def http_get(self, path):
        """(status, text), with status 0 when it does not answer."""
        return http_get(self.url(path), host=self.host)

    def is_ready(self):
        return self.http_get("/readyz")[0] == 200

    def wait_ready(self, timeout=20):
        self.process.wait_http(self.url("/readyz"), timeout)

    def metrics(self):
        """{} when it does not answer."""
        status, text = self.http_get("/metrics")
        return parse_metrics(text) if status == 200 else {}

    def log_text(self):
        return self.process.log_text()


class Cluster:
    """
    ingress, dispatchers, couriers: how many of each. settings: nested dict over the defaults, as in
    barid.yaml. listeners: {"submission": {"role": "submission", ...}}: settings of listeners, which get their addresses
    here. dns_port: resolver on 127.0.0.1, or "host:port". hosts: {node's name: host of network.py}; those not named are on none. redis: a started RedisServer, RedisWithSentinels or RedisCluster of the test's own, else one with
    appendfsync and redis_options is made. store_users: {role (or "ctl"): (ACL user, password)}. build: another build directory. `.faults` notes everything done by
    kill(), freeze(), freeze_redis() and cut_redis(), for the Ledger.
    """

    def __init__(self, ingress=1, dispatchers=1, couriers=1, settings=None, dns_port=None, redis=None,
                 appendfsync="always", redis_options=None, build=None, environment=None, seed=None, listeners=None,
                 store_users=None, hosts=None):
        self.folder = paths.scratch("barid")
        self.build = build or paths.BUILD
        self.environment = dict(environment or {})
        self.store_users, self.hosts = dict(store_users or {}), dict(hosts or {})
        self.conf = os.path.join(self.folder, "barid.yaml")
        self._own_redis = redis is None
        self.redis = redis or RedisServer(os.path.join(self.folder, "redis"), appendfsync=appendfsync,
                                          options=redis_options)
        self.settings = merged(_SETTINGS, {"store": self.redis.store_settings()})
        if dns_port:
            resolver = dns_port if isinstance(dns_port, str) else f"127.0.0.1:{dns_port}"
            self.settings = merged(self.settings, {"dns": {"servers": [resolver]}})
        if self.hosts:
            self.settings = merged(self.settings, {"courier": {"allow_private": ["127.0.0.0/8", NETWORK]},
                                                   "ingress": {"trusted_networks": ["127.0.0.0/8", NETWORK]}})
        self.settings = merged(self.settings, settings)
        for name, rows in (listeners or {}).items():  # the address of each node's own comes by its environment
            self.settings = merged(self.settings, {"listeners": {name: {"address": ["127.0.0.1:0"], **rows}}})
        self.nodes = [Node(self, role, n + 1) for role, count in zip(ROLES, (ingress, dispatchers, couriers))
                      for n in range(count)]
        self.faults = Faults()
        self.seed = seed if seed is not None else random.SystemRandom().randrange(1 << 31)
        self.random = random.Random(self.seed)

    # -- life

    def write_settings(self, settings=None):
        """Writes barid.yaml, after merging `settings` in; reload() makes the nodes read it."""
        self.settings = merged(self.settings, settings)
        fresh = self.conf + ".new"
        with open(fresh, "w") as file:
            yaml.safe_dump(self.settings, file, sort_keys=False)
        os.replace(fresh, self.conf)

    def reload(self, settings=None):
        self.write_settings(settings)
        for node in self.nodes:
            node.process.signal(signal.SIGHUP)

    def start(self, timeout=30):
        self.write_settings()
        if self._own_redis:
            self.redis.start()
        for node in self.nodes:
            node.process.start()
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=30):
        """Waits until every node that runs answers 200 at /readyz."""
        for node in self.nodes:
            if node.process.alive():
                node.wait_ready(timeout)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            for node in self.nodes:
                node.process.kill()
            if self._own_redis:
                self.redis.stop()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, timeout=30):
        """SIGTERM to all that run; each must end with exit code 0."""
        running = [node for node in self.nodes if node.process.alive()]
        for node in running:
            node.process.thaw()
            node.process.signal(signal.SIGTERM)
        codes = {node.name: node.process.wait(timeout) for node in running}
        wrong = [node for node in running if codes[node.name] != 0]
        if wrong:
            raise AssertionError(f"ended by SIGTERM with {codes}\n"
                                 + "\n".join(node.process.log_tail() for node in wrong))

    # -- its parts

    def of(self, role):
        return [node for node in self.nodes if node.role == role]

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def _pick(self, which):
        """A node; of a role's name, one that runs, at random."""
        if isinstance(which, Node):
            return which
        named = [node for node in self.nodes if node.name == which]
        if named:
            return named[0]
        return self.random.choice([node for node in self.of(which) if node.process.alive()])

    @property
    def addresses(self):
        """(host, port) of every ingress."""
        return [node.smtp for node in self.of("ingress")]

    def address(self, listener, number=1):
        """(host, port) of a listener of ingress1, or of another one by its number."""
        return self.node(f"ingress{number}").listeners[listener]

    def user_of(self, role):
        """The environment that makes a program of this role the ACL user it is in Redis."""
        user, password = self.store_users.get(role, (None, None))
        return {"BARID_STORE_USER": user, "BARID_STORE_PASSWORD": password} if user else {}

    def add_user(self, name, password, *options):
        """`baridctl user add`: a submission user. options: as on its command line."""
        self.baridctl("user", "add", name, "--password-stdin", *options, stdin=password + "\n")

    # -- faults

    def kill(self, which):
        """SIGKILL to a node, or to one of a role at random. Returns the node."""
        node = self._pick(which)
        fault = self.faults.note(node.role, node.name, node.pid, lasting=True)
        node.process.kill()
        fault.end()  # a dot that it sent meanwhile was open
        return node

    def restart(self, which, wait_ready=False):
        node = self._pick(which)
        node.process.start()
        if wait_ready:
            node.wait_ready()
        return node

    def freeze(self, which):
        """SIGSTOP; returns (node, fault). thaw(node, fault) ends it."""
        node = self._pick(which)
        fault = self.faults.note(node.role, node.name, node.pid, "stop", lasting=True)
        node.process.freeze()
        return node, fault

    def thaw(self, node, fault):
        node.process.thaw()
        fault.end()

    def freeze_redis(self):
        """SIGSTOP to Redis; returns the fault, which thaw_redis(fault) ends."""
        fault = self.faults.note("redis", "redis", self.redis.pid, "stop", lasting=True)
        self.redis.freeze()
        return fault

    def thaw_redis(self, fault):
        self.redis.thaw()
        fault.end()

    def cut_redis(self, timeout=30):
        """Redis loses power and comes back. Returns how many bytes of its append-only file were lost."""
        fault = self.faults.note("redis", "redis", self.redis.pid, "cut", lasting=True)
        lost = self.redis.kill_and_cut()
        self.redis.start(timeout)
        fault.end()
        return lost

    # -- what it tells

    def baridctl(self, *arguments, timeout=20, check=True, stdin=""):
        """Runs baridctl; returns what it printed on standard output. stdin: text it may read."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("BARID_")}
        argv = [os.path.join(self.build, "bin", "baridctl"), "--config", self.conf, *map(str, arguments)]
        done = subprocess.run(argv, input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, env={**env, **self.user_of("ctl"), **self.environment}, check=False,
                              preexec_fn=next((host.network.eye.enter for host in self.hosts.values()), None))
        if check and done.returncode != 0:
            raise AssertionError(f"baridctl {' '.join(map(str, arguments))} ended with {done.returncode}: "
                                 + done.stderr.decode("utf-8", "replace"))
        return done.stdout.decode("utf-8", "replace")

    def status(self):
        """`baridctl status --json`."""
        return json.loads(self.baridctl("status", "--json"))

    def queue(self):
        """{"due", "waiting", "claimed", "held"} over all partitions."""
        return self.status()["queue"]

    def wait_empty(self, timeout=60, held=0):
        """Waits until nothing is waiting or claimed, and `held` jobs are held."""
        def is_empty():
            queue = self.queue()
            return queue["waiting"] == 0 and queue["claimed"] == 0 and queue["held"] == held
        wait.until(is_empty, timeout, lambda: f"an empty queue, it is {self.queue()}", pause=0.05)

    def metric(self, name, role=None):
        """The sum of a metric over the nodes that answer (of a role), and over its labels unless the name has some."""
        return sum(value for node in self.nodes if role in (None, node.role)
                   for key, value in node.metrics().items() if key == name or key.startswith(name + "{"))

    def wait_metric(self, name, least, role=None, timeout=20):
        wait.until(lambda: self.metric(name, role) >= least, timeout,
                   lambda: f"{name} >= {least}, it is {self.metric(name, role)}")

    def wait_log(self, role, pattern, timeout=20):
        """Waits until some node of a role logs a line that matches; returns (node, match)."""
        regex = re.compile(pattern, re.MULTILINE)

        def found():
            for node in self.of(role):
                match = regex.search(node.log_text())
                if match:
                    return node, match
            return None
        return wait.until(found, timeout, f"a {role} logs /{pattern}/")

    def now(self):
        """The clock of faults and ledger."""
        return time.monotonic()
