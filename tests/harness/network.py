"""
Hosts of a test: network namespaces on one bridge, each with an address of its own, that can be cut off from one another, also one way only.
Needs root. A namespace has no name and no process: the test holds it open, so it is gone with the test, however that ended.
"""

import asyncio
import concurrent.futures
import ctypes
import os
import subprocess
import threading

from .served import Served

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_NET = "10.77.0"
NETWORK = f"{_NET}.0/24"


def _call(name, *arguments):
    if getattr(_libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def _new_namespace():
    """A file descriptor of a new network namespace. Made on a thread of its own, which it is the namespace of."""
    def make():
        _call("unshare", _CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(make).result()


class Host:
    """A place with an address, `.ip`, where processes and threads may be."""

    def __init__(self, network, name, number):
        self.network, self.name, self.ip = network, name, f"{_NET}.{number}"
        self.more = []  # further addresses
        self.namespace = _new_namespace()
        self._workers = None

    @property
    def ips(self):
        return [self.ip, *self.more]

    def enter(self):
        """The calling thread, or process that is about to become another, is on this host from now on."""
        _call("setns", self.namespace, _CLONE_NEWNET)

    def run(self, *argv):
        """A program, to its end; returns what it printed."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
                              preexec_fn=self.enter, check=False)
        if done.returncode != 0:
            raise OSError(f"{' '.join(argv)} on {self.name}: {done.stdout.decode('utf-8', 'replace')}")
        return done.stdout.decode()

    def call(self, function, *arguments, **named):
        """function(...) on a thread that is on this host: whatever socket it opens stays there."""
        if not self._workers:
            self._workers = concurrent.futures.ThreadPoolExecutor(8, thread_name_prefix=self.name, initializer=self.enter)
        return self._workers.submit(function, *arguments, **named).result()

    def add_address(self):
        """One more address; returns it."""
        self.more.append(self.network._next_ip())
        self.run("ip", "address", "add", f"{self.more[-1]}/24", "dev", "eth0")
        return self.more[-1]

    def _close(self):
        if self._workers:
            self._workers.shutdown()
        os.close(self.namespace)


class Network:
    """
    Network("a", "b"): `.host("a")`, ... . `.eye` is where the test looks from, with a way to all of them that is never cut.
    """

    def __init__(self, *names):
        self._used = 0
        self._lock = threading.Lock()
        self._rules = []  # (host, words of iptables, (source, target))
        self.eye = Host(self, "eye", 254)
        self._set_up_bridge()
        self.hosts = {}
        for name in names:
            self.add(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for host in [*self.hosts.values(), self.eye]:
            host._close()
        self.hosts = {}

    def _next_ip(self):
        self._used += 1
        return f"{_NET}.{self._used}"

    def _set_up_bridge(self):
        for words in ("link set lo up", "link add bridge type bridge", "link set bridge up", f"address add {self.eye.ip}/24 dev bridge"):
            self.eye.run("ip", *words.split())

    def add(self, name):
        """One more host."""
        host = Host(self, name, self._next_ip().rpartition(".")[2])
        self.hosts[name] = host
        port = f"port{self._used}"
        path = f"/proc/{os.getpid()}/fd/{host.namespace}"
        self.eye.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", path)
        self.eye.run("ip", "link", "set", port, "master", "bridge", "up")
        for words in ("link set lo up", "link set eth0 up", f"address add {host.ip}/24 dev eth0"):
            host.run("ip", *words.split())
        return host

    def host(self, which):
        return which if isinstance(which, Host) else self.hosts[which]

    # -- cuts

    def cut(self, source, target, one_way=False, how="DROP"):
        """Nothing goes from source to target any more; nor back, unless one_way. how: DROP, silence; REJECT, which the sender is told."""
        source, target = self.host(source), self.host(target)
        with self._lock:
            self._forbid(source, target, how)
            if not one_way:
                self._forbid(target, source, how)

    def _forbid(self, source, target, how):
        """Silence falls where it would arrive; a refusal is told where it is sent."""
        at, rules = (target, [["INPUT", "-s", ip] for ip in source.ips]) if how == "DROP" else (source, [["OUTPUT", "-d", ip] for ip in target.ips])
        for words in rules:
            at.run("iptables", "-w", "-A", *words, "-j", how)
            self._rules.append((at, [*words, "-j", how], (source, target)))

    def split(self, *side, but=()):
        """The hosts of `side` and all others, except `but`, hear nothing of one another, at once: one command, as each takes long on a busy machine."""
        here = [self.host(one) for one in side]
        there = ",".join(ip for host in self.hosts.values() if host not in here and host.name not in but for ip in host.ips)
        with self._lock:
            for host in here:
                for words in (["INPUT", "-s", there, "-j", "DROP"], ["OUTPUT", "-d", there, "-j", "DROP"]):
                    host.run("iptables", "-w", "-A", *words)
                    self._rules.append((host, words, (host,)))

    def mend(self, source=None, target=None):
        """Both ways between two are open again, or all that touch one, or all."""
        ends = {self.host(one) for one in (source, target) if one is not None}
        with self._lock:
            for rule in [rule for rule in self._rules if ends <= set(rule[2])]:
                rule[0].run("iptables", "-w", "-D", *rule[1])
                self._rules.remove(rule)


class DelayProxy(Served):
    """
    Forwards TCP from (ip, port) on a host, to `target` (host, port), each octet `delay` seconds late both ways, as on a long way; `delay` may
    change at any time.
    """

    def __init__(self, target, delay, port, host=None, ip=None):
        super().__init__("delay", host)
        self.target, self.delay, self.port = target, delay, port
        self.ip = ip or (host.ip if host else "127.0.0.1")

    @property
    def address(self):
        return f"{self.ip}:{self.port}"

    async def _open(self):
        self._server = await asyncio.start_server(self._on_client, self.ip, self.port)

    async def _close(self):
        self._server.close()

    async def _on_client(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)

    async def _pass(self, reader, writer):
        """Reads at once and writes later, in order."""
        late = asyncio.Queue()

        async def read():
            while True:
                data = await reader.read(1 << 16)
                late.put_nowait((self._loop.time() + self.delay, data))
                if not data:
                    return
        reading = asyncio.ensure_future(read())
        try:
            while True:
                due, data = await late.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        finally:
            reading.cancel()
