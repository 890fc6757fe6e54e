"""
A courier frozen before its dot until it is buried and another has delivered its job sends no dot when it goes on. And the same test finds the
second copy where the check before the dot is missing.
"""

import os

import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import Gate, ScriptedSink, stall

HOST = "127.0.0.1"


def zone():
    return Zone().mx("one.test", "mx.one.test").a("mx.one.test", HOST)


def holder(cluster, session):
    """The courier behind a session of the sink."""
    host, port = session.peer[:2]
    wanted = "".join(f"{int(part):02X}" for part in reversed(host.split("."))) + f":{port:04X}"
    for node in cluster.of("courier"):
        with open(f"/proc/{node.pid}/net/tcp") as table:
            inodes = {f"socket:[{fields[9]}]" for fields in (line.split() for line in table) if fields[1] == wanted}
        folder = f"/proc/{node.pid}/fd"
        if inodes & {os.readlink(os.path.join(folder, name)) for name in os.listdir(folder) if os.path.lexists(os.path.join(folder, name))}:
            return node
    raise AssertionError(f"no courier has a socket at {session.peer}")


def dots_after_a_burial(**cluster_options):
    """
    One message; its first transaction stalls at 354 while its courier is frozen. Returns how many dots the sink saw once that courier had
    been buried, the job delivered by the other, the 354 said and the courier thawed; and the ledger.
    """
    gate = Gate()
    with ScriptedSink([HOST]) as sink, Dns(zone()) as dns:
        sink.rule("data", stall(gate=gate), times=1)
        settings = {"courier": {"port": sink.port, "idle_time": "0s"}}
        with Cluster(couriers=2, dns_port=dns.port, settings=settings, **cluster_options) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", ["r@one.test"]), sessions=1, limit=1) as generator:
                generator.wait_acknowledged(1)
                gate.wait_held()
                node, fault = cluster.freeze(holder(cluster, sink.sessions[0]))
                cluster.wait_metric("barid_buried_total", 1, "dispatcher")
                sink.wait_taken(1)
                cluster.wait_empty()
                gate.open()
                wait.until(lambda: gate.held == 0, 10, "the 354")
                cluster.thaw(node, fault)
                node.process.wait_log("event=declared_dead")
                wait.until(lambda: sink.sessions[0].closed_at is not None, 20, "the end of the first session")
                generator.stop()
                return len(sink.dots()), Ledger([generator], [sink], cluster.faults)


# proves: A07
def test_a_courier_thawed_after_its_burial_sends_no_dot():
    dots, ledger = dots_after_a_burial()
    assert dots == 1
    ledger.assert_balanced()


@pytest.fixture(scope="session")
def no_dot_check():
    """A build that sends the dot whatever became of the courier."""
    return paths.built("plant-no_dot_check", "PLANT=no_dot_check")


def test_the_second_copy_is_found_when_nobody_checks_before_the_dot(no_dot_check):
    dots, _ = dots_after_a_burial(build=no_dot_check)
    assert dots == 2
