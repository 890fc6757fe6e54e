"""A real cluster between real programs: swaks, smtplib and Postfix send; Postfix and smtp-sink receive, found by MX from knot behind unbound."""

import re
import smtplib
import subprocess

import corpus
import pytest

from harness import paths, wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.postfix import Postfix, SmtpSink
from harness.redis import RedisServer
from harness.sink import ScriptedSink

_OURS = re.compile(rb"\AReceived: from [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")


def below_received(content):
    """The content below our one Received field."""
    found = _OURS.match(content)
    assert found, content[:300]
    return content[found.end():]


def send(cluster, recipient, content, sender="s@origin.test", options=()):
    """smtplib's client, but not its habit of mending line ends."""
    with smtplib.SMTP(*cluster.addresses[0], timeout=60) as client:
        client.ehlo("client.test")
        assert client.mail(sender, options)[0] == 250
        assert client.rcpt(recipient)[0] == 250
        assert client.docmd("DATA")[0] == 354
        stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
        client.sock.sendall(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        code, text = client.getreply()
    assert code == 250, text
    return text.decode()


# proves: I01 G01 H12
def test_swaks_smtplib_and_postfix_relay_through_it_to_postfix():
    with Postfix.receiver(["one.test"], host="127.0.0.1") as receiver:
        zone = Zone().mx("one.test", "mx.one.test").a("mx.one.test", "127.0.0.1")
        with Dns(zone) as dns, Cluster(dns_port=dns.port, settings={"courier": {"port": receiver.port}}) as cluster:
            host, port = cluster.addresses[0]
            swaks = subprocess.run(["swaks", "--server", host, "--port", str(port), "--from", "swaks@origin.test", "--to",
                                    "r@one.test", "--body", "from swaks"], stdout=subprocess.PIPE, check=False, timeout=60)
            assert swaks.returncode == 0, swaks.stdout
            with smtplib.SMTP(host, port, timeout=60) as client:
                client.sendmail("py@origin.test", ["r@one.test"], "Subject: from smtplib\r\n\r\nhello\r\n")
            with Postfix.client(host, port) as client:
                with smtplib.SMTP(client.host, client.port, timeout=60) as session:
                    session.sendmail("pf@origin.test", ["r@one.test"], "Subject: through Postfix\r\n\r\nhello\r\n")
                received = receiver.wait_messages(3, timeout=60)
            assert sum(b"from swaks" in m for m in received) == 1
            assert sum(b"from smtplib" in m for m in received) == 1
            assert sum(b"through Postfix" in m for m in received) == 1
            cluster.wait_empty()


# proves: I02 I16
def test_smtp_sink_is_found_by_mx_and_by_static_route():
    with SmtpSink(host="127.0.0.1", arguments=("-c",)) as target:
        zone = Zone().mx("two.test", "mx.two.test").a("mx.two.test", "127.0.0.1")
        settings = {"courier": {"port": target.port, "routes": {"routed.test": f"127.0.0.1:{target.port}"}}}
        with Dns(zone) as dns, Cluster(dns_port=dns.port, settings=settings) as cluster:
            for domain in ("two.test", "routed.test"):
                send(cluster, f"r@{domain}", b"Subject: hello\r\n\r\nhello\r\n")
            cluster.wait_metric("barid_delivered_total", 2, "courier")
            cluster.wait_empty()


@pytest.fixture(scope="module")
def relay():
    """One cluster for the whole corpus, with the scripted sink, which keeps every octet."""
    with ScriptedSink() as sink:
        zone = Zone().mx("one.test", "mx.one.test").a("mx.one.test", "127.0.0.1")
        with Dns(zone) as dns, Cluster(dns_port=dns.port, settings={"courier": {"port": sink.port}}) as cluster:
            yield cluster, sink


def assert_arrives_unchanged(relay, name, content):
    cluster, sink = relay
    send(cluster, "r@one.test", content, options=("BODY=8BITMIME",))
    arrived = sink.wait_for(lambda t: t.taken and t.ledger_id == name, 60, f"{name} at the sink")
    expected = content if content.endswith(b"\r\n") else content + b"\r\n"
    assert below_received(arrived.content) == expected
    assert arrived.content.count(b"\r\nReceived:") + arrived.content.startswith(b"Received:") == 1
    assert len([t for t in sink.taken() if t.ledger_id == name]) == 1


# proves: G03 G07 B29 B31 B32 B33 H12
@pytest.mark.parametrize("name", sorted(corpus.small()))
def test_content_arrives_octet_by_octet(relay, name):
    assert_arrives_unchanged(relay, name, corpus.small()[name])


# proves: B31 A11
@pytest.mark.parametrize("name", sorted(corpus.edges()))
def test_content_of_every_edge_size_arrives(relay, name):
    assert_arrives_unchanged(relay, name, corpus.edges()[name])


# proves: G03
def test_fifty_megabytes_arrive_and_leave_nothing_behind(relay):
    cluster, _ = relay
    name, content = corpus.large(49)
    assert_arrives_unchanged(relay, name, content)
    cluster.wait_empty()
    wait.until(lambda: cluster.metric("barid_unstored_bytes") == 0 and cluster.metric("barid_content_bytes") == 0, 10, "no content in memory")
    assert cluster.redis.client().info("memory")["used_memory"] < 30 << 20


# proves: M02
def test_fifty_megabytes_pass_through_little_memory():
    plain = paths.BUILD.partition("/san-")[0]  # a sanitizer keeps what was freed
    with ScriptedSink() as sink:
        settings = {"courier": {"routes": {"one.test": f"127.0.0.1:{sink.port}"}}}
        with Cluster(settings=settings, build=plain) as cluster:
            name, content = corpus.large(49)
            assert_arrives_unchanged((cluster, sink), name, content)
            for node in cluster.nodes:
                with open(f"/proc/{node.pid}/status") as status:
                    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))
                print(f"{node.name}: {peak} kB at most")
                assert peak < 40 << 10, f"{node.name} held {peak} kB"


# proves: G01 G09
def test_the_received_field_tells_where_it_came_from(relay):
    cluster, sink = relay
    send(cluster, "r@one.test", b"X-Ledger-Id: received\r\n\r\nbody\r\n")
    arrived = sink.wait_for(lambda t: t.taken and t.ledger_id == "received")
    field = re.sub(rb"\r\n[ \t]+", b" ", _OURS.match(arrived.content).group(0)).decode()
    assert re.match(r"Received: from client\.test \((?:unknown )?\[127\.0\.0\.1\]\) by ingress1\.relay\.test with ESMTP "
                    r"id [0-9A-Z]{26} for <r@one\.test>; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n", field), field


def test_the_store_may_be_given_by_name():
    with RedisServer(tcp=True) as redis, SmtpSink() as target:
        settings = {"store": {"address": f"localhost:{redis.port}"}, "courier": {"routes": {"routed.test": f"127.0.0.1:{target.port}"}}}
        with Cluster(redis=redis, settings=settings) as cluster:
            send(cluster, "r@routed.test", b"Subject: hello\r\n\r\nhello\r\n")
            cluster.wait_metric("barid_delivered_total", 1, "courier")
            cluster.wait_empty()
