"""
What TLS costs a courier: mail in plain, within TLS that proves nothing, and with names, DANE and MTA-STS checked, over connections that are used again and
with a new one for each message. Processor time of the courier per message; its rate, with the load and the sink on the same processors.

  tests/bench/delivery.py [--messages N]
"""

import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import paths, ports  # noqa: E402
from harness.authority import Authority  # noqa: E402
from harness.cluster import Cluster  # noqa: E402
from harness.dns import Dns, Zone  # noqa: E402
from harness.policy_host import PolicyHost, policy  # noqa: E402
from harness.postfix import smtp_source  # noqa: E402
from harness.process import Process  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
KINDS = {"plain": "none", "tls": "TLS, nothing proven", "verify": "TLS, name checked", "dane": "TLS, DANE", "sts": "TLS, MTA-STS"}

PROOFS = {"plain": "delivered", "tls": "proof=no ", "verify": "proof=name", "dane": "proof=dane", "sts": "proof=sts"}


def seconds_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICK


class Sink:
    """`baridctl sink` at an address of its own, until it has `count` messages."""

    def __init__(self, folder, address, port, certificate):
        self.log = os.path.join(folder, f"sink-{address}.log")
        self.address, self.port = address, port
        self.argv = [paths.program("baridctl"), "sink", "--listen", f"{address}:{port}", *(["--tls", certificate] if certificate else [])]

    def expect(self, count):
        self.process = Process("sink", [*self.argv, "--count", count], self.log).start()
        self.process.wait_until(lambda: ports.accepts(self.port, self.address), 10, "the sink listens")

    def wait_all(self):
        assert self.process.wait(300) == 0, self.process.log_tail()
        text = self.process.log_text()
        return json.loads(text[text.index("{"):])["last_at"]


def run(cluster, sink, domain, count):
    """(delivered per second, processor ms of the courier per message)"""
    courier = cluster.of("courier")[0]

    def load(messages):
        sink.expect(messages)
        began, before = time.time(), seconds_of(courier.pid)
        smtp_source(cluster.addresses[0][1], count=messages, sessions=20, size=4096, sender="bench@bench.test", recipient=f"to@{domain}")
        return messages / (sink.wait_all() - began), (seconds_of(courier.pid) - before) * 1000 / messages

    load(50)  # policies, records and sessions are at hand after it
    return load(count)


def assert_proven(cluster, kind):
    """The last message went as its kind says: a figure for something else would be worth nothing."""
    line = [line for line in cluster.of("courier")[0].log_text().splitlines() if "event=delivered" in line][-1]
    assert PROOFS[kind] in line, (kind, line)


def measure(messages):
    folder = paths.scratch("delivery")
    authority = Authority(os.path.join(folder, "authority"))
    port, zone, sinks, found = ports.free_port(), Zone(is_signed=True), {}, []
    for place, kind in enumerate(KINDS):
        host, address = f"mx.{kind}.test", f"127.0.3.{place + 1}"
        certificate = None if kind == "plain" else authority.self_signed(host) if kind == "tls" else authority.issue(host)
        sinks[kind] = Sink(folder, address, port, certificate)
        zone.mx(f"{kind}.test", host).a(host, address)
        if kind == "dane":
            zone.tlsa(host, authority.association(certificate, 3, 1, 1), port=port)
    zone.unsigned("sts.test").a("mta-sts.sts.test", "127.0.0.1").txt("_mta-sts.sts.test", "v=STSv1; id=1;")
    with PolicyHost(authority) as policies, Dns(zone) as dns:
        policies.serve("sts.test", policy("mx.sts.test"))
        for per_connection in (1000, 1):
            settings = {"courier": {"port": port, "allow_private": ["127.0.0.0/8"], "max_per_connection": per_connection},
                        "tls_out": {"ca": authority.ca, "policies": {"verify.test": "verify"}, "sts_ca": authority.ca, "sts_port": policies.port},
                        "dns": {"validates": True}, "ingress": {"compression": "none"}}
            with Cluster(settings=settings, dns_port=dns.port) as cluster:
                for kind, sink in sinks.items():
                    rate, ms = run(cluster, sink, f"{kind}.test", messages if per_connection > 1 else messages // 4)
                    found.append({"kind": kind, "reused": per_connection > 1, "delivered_per_s": rate, "ms": ms})
                    assert_proven(cluster, kind)
    return found


def report(found):
    print("\na courier's 4 KiB messages     reused: delivered/s   ms each   one per connection: delivered/s   ms each")
    for kind, words in KINDS.items():
        reused, single = (next(row for row in found if row["kind"] == kind and row["reused"] == is_reused) for is_reused in (True, False))
        print(f"  {words:28} {reused['delivered_per_s']:19.0f} {reused['ms']:9.3f} {single['delivered_per_s']:33.0f} {single['ms']:9.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=4000)
    report(measure(parser.parse_args().messages))
