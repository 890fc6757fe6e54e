"""A client whose address is of one link only, with a scope, as fe80::1%eth0: in a network of its own, made for this test."""

import os
import re
import smtplib
import subprocess
import sys

import pytest

if __name__ == "__main__":
    sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.path.dirname(os.path.abspath(__file__))]

from harness import paths, ports
from harness.cluster import Cluster


# proves: E03 G01
@pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")
def test_a_client_with_a_scope_is_served_and_named():
    inside = ["unshare", "-n", "sh", "-c", 'ip link set lo up && ip -6 address add fe80::1/64 dev lo nodad && exec "$0" "$@"', sys.executable, os.path.abspath(__file__)]
    done = subprocess.run(inside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def in_its_network():
    port = ports.free_port()
    environment = {"BARID_LISTENERS_RELAY_ADDRESS": f"[::]:{port}"}
    listeners = {"relay": {"role": "relay", "relay_domains": ["d.example"], "limits": {"messages_per_client": "2/1h", "connections_per_network": "100/1h"}}}
    with Cluster(ingress=1, dispatchers=0, couriers=0, environment=environment, settings={"ingress": {"compression": "none"}}, listeners=listeners) as cluster:
        with smtplib.SMTP("fe80::1%lo", port, timeout=20, local_hostname="client.example") as client:
            client.ehlo()
            assert client.mail("a@b.example")[0] == 250
            assert client.rcpt("c@foreign.example")[0] == 550  # loopback is trusted, a link is not
            client.rset()
            client.sendmail("a@b.example", ["c@d.example"], "Subject: x\r\n\r\nx\r\n")
            assert client.docmd("EHLO [IPv6:fe80::1%lo]")[0] == 250
            assert client.mail("a@b.example")[0] == 450  # the limit knows it again
        with cluster.redis.client() as redis:
            content = b" ".join(redis.get(redis.keys(b"b:*")[0]).split())
        assert b"(unknown [IPv6:fe80::1])" in content, content
        assert re.search(r"event=accepted.* client=fe80::1%\w+ ", cluster.nodes[0].log_text())


if __name__ == "__main__":
    in_its_network()
