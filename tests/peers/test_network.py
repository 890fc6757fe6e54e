"""Hosts of a test are on a network of their own: cut one way or both, mended, late; and nothing of it outlives the test."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import redis as client

from harness import paths, wait
from harness.network import DelayProxy, Network
from harness.process import Process
from harness.redis import RedisServer
from harness.replicas import RedisCluster, RedisWithSentinels


@pytest.fixture
def network():
    with Network("a", "b", "c") as made:
        yield made


def can_reach(source, target, port=5000):
    """Whether a connection from one host to the other comes about."""
    def attempt():
        try:
            socket.create_connection((target.ip, port), timeout=0.3).close()
            return True
        except OSError:
            return False
    return source.call(attempt)


def listen(host, port=5000):
    return host.call(socket.create_server, (host.ip, port))


def hears(sender, receiver):
    """Whether a datagram arrives."""
    def bound():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.settimeout(0.3)
        return one
    with receiver.call(bound) as ear, sender.call(bound) as mouth:
        ear.bind((receiver.ip, 0))
        try:
            mouth.sendto(b"?", ear.getsockname())
            return ear.recv(10) == b"?"
        except OSError:
            return False


def test_hosts_reach_each_other_and_have_loopbacks_of_their_own(network):
    a, b = network.host("a"), network.host("b")
    with listen(b), a.call(socket.create_server, ("127.0.0.1", 5001)) as own:
        assert can_reach(a, b) and can_reach(network.eye, b) and not can_reach(b, a)
        assert a.call(socket.create_connection, ("127.0.0.1", 5001)).getpeername() == own.getsockname()
        with pytest.raises(OSError):
            b.call(socket.create_connection, ("127.0.0.1", 5001), timeout=0.3)


def test_cuts_are_between_two_and_mended(network):
    a, b, c = (network.host(name) for name in "abc")
    with listen(b), listen(c):
        network.cut("a", "b")
        assert not hears(a, b) and not hears(b, a) and not can_reach(a, b)
        assert can_reach(a, c) and can_reach(c, b) and can_reach(network.eye, a) is False and can_reach(network.eye, b)
        network.mend("a", "b")
        assert hears(a, b) and hears(b, a) and can_reach(a, b)


def test_a_cut_may_be_one_way(network):
    a, b = network.host("a"), network.host("b")
    network.cut("a", "b", one_way=True)
    assert not hears(a, b) and hears(b, a)
    network.mend()
    assert hears(a, b)


def test_a_host_is_cut_off_from_all_but_some(network):
    a, b, c = (network.host(name) for name in "abc")
    network.split("b", but=["c"])
    assert not hears(a, b) and not hears(b, a) and hears(b, c) and hears(c, b)
    network.mend("b")
    assert hears(a, b)


def test_a_network_is_split(network):
    a, b, c = (network.host(name) for name in "abc")
    network.split("a", "b")
    assert hears(a, b) and not hears(a, c) and not hears(c, b) and not hears(b, c)
    network.mend()
    assert hears(a, c) and hears(c, b)


def test_a_refusal_is_told_at_once(network):
    a, b = network.host("a"), network.host("b")
    network.cut("a", "b", how="REJECT")

    def connect():
        began = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((b.ip, 5000), timeout=5)
        return time.monotonic() - began
    assert a.call(connect) < 4


def test_what_is_under_way_waits_for_the_end_of_a_cut(network):
    a, b = network.host("a"), network.host("b")
    with listen(b) as server, a.call(socket.create_connection, (b.ip, 5000)) as there:
        here, _ = server.accept()
        here.settimeout(20)
        network.cut("a", "b")
        there.sendall(b"late")
        here.settimeout(0.3)
        with pytest.raises(socket.timeout):
            here.recv(10)
        network.mend()
        here.settimeout(20)
        assert here.recv(10) == b"late"
        here.close()


def test_a_proxy_makes_the_way_longer(network):
    a, b = network.host("a"), network.host("b")
    with RedisServer(tcp=True, host=b, witness=False) as server, DelayProxy((b.ip, server.port), 0.1, 6379, host=a) as proxy:
        def ping():
            began = time.monotonic()
            assert client.Redis(host=proxy.ip, port=proxy.port).ping()
            return time.monotonic() - began
        assert a.call(ping) >= 0.2
        proxy.delay = 0.0
        assert a.call(ping) < 10


def test_sentinels_on_the_larger_side_promote_while_the_primary_lives_on():
    names = ("one", "two", "three")
    with Network(*names) as network:
        with RedisWithSentinels(replicas=2, hosts=[network.host(name) for name in names]) as redis:
            old = redis.primary
            network.split(old.host)
            new = redis.wait_failover(old)
            with old.client(single_connection_client=True) as cut_off:
                assert cut_off.set("written", "nowhere") and cut_off.execute_command("WAIT", 1, 500) == 0
            network.mend()
            wait.until(lambda: old.client().info("replication")["role"] == "slave", 60, "the old one to follow")
            assert new.client().get("written") is None


def test_a_cluster_goes_on_at_the_larger_side():
    with Network("one", "two", "three") as network:
        hosts = [network.host(name) for name in ("one", "two", "three", "two", "three", "one")]
        with RedisCluster(replicas=1, hosts=hosts) as redis:
            old = redis.owner()
            network.split(old.host)
            wait.until(lambda: not old.client().info("cluster") or redis.ask(old, "CLUSTER INFO").startswith("cluster_state:fail"), 20,
                       "the smaller side to notice")
            wait.until(lambda: redis.owner() is not old, 20, "a primary at the larger side")
            network.mend()
            wait.until(lambda: old.client().info("replication")["role"] == "slave", 30, "the old one to follow")


_STARTS_AND_WAITS = """
import sys
sys.path.insert(0, {tests!r})
from harness.network import Network
from harness.process import Process
network = Network("a")
process = Process("sleeper", ["sleep", "1000"], {log!r}, host=network.host("a")).start()
print(process.pid, flush=True)
sys.stdin.read()
"""


def namespaces():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            continue
    return found


def test_nothing_is_left_of_a_test_that_was_killed(tmp_path):
    code = _STARTS_AND_WAITS.format(tests=os.path.join(paths.REPOSITORY, "tests"), log=str(tmp_path / "log"))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as test:
        sleeper = int(test.stdout.readline())
        its_own = os.readlink(f"/proc/{sleeper}/ns/net")
        assert its_own != os.readlink("/proc/self/ns/net")
        test.send_signal(signal.SIGKILL)
        test.wait()
        wait.until(lambda: its_own not in namespaces(), 10, "the end of all on that host")


def test_a_process_is_where_it_was_put(network, tmp_path):
    process = Process("sleeper", ["sleep", "1000"], str(tmp_path / "log"), host=network.host("a"))
    with process:
        assert os.readlink(f"/proc/{process.pid}/ns/net") != os.readlink("/proc/self/ns/net")
