"""PROXY headers and XCLIENT: who the client is, is believed of those who are listed, and of nobody else."""

import socket
import ssl
import struct
import time

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from login import Client

BALANCER, OTHER = "127.0.0.8", "127.0.0.10"
_PROXIED = {"proxy": "required", "balancers": [f"{BALANCER}/32"], "relay_domains": ["ours.test"], "xclient": ["192.0.2.25"]}
_LISTENERS = {
    "proxied": {"role": "relay", **_PROXIED},
    "bare": {"role": "relay", "xclient": [f"{BALANCER}/32"]},
    "submissions": {"role": "submissions", "proxy": "required", "balancers": [f"{BALANCER}/32"], "auth": "off", "trusted_networks": ["192.0.2.0/24"]},
}
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client):
    family, server = ("TCP6", "2001:db8::25") if ":" in client else ("TCP4", "198.51.100.1")
    return f"PROXY {family} {client} {server} 51234 25\r\n".encode()


def v2(client, more=b""):
    if ":" in client:
        family, addresses = 0x21, socket.inet_pton(socket.AF_INET6, client) + socket.inet_pton(socket.AF_INET6, "2001:db8::25")
    else:
        family, addresses = 0x11, socket.inet_aton(client) + socket.inet_aton("198.51.100.1")
    body = addresses + struct.pack("!HH", 51234, 25) + more
    return _SIGNATURE + bytes([0x21, family]) + struct.pack("!H", len(body)) + body


LOCAL = _SIGNATURE + b"\x20\0\0\0"


class Place:
    def __init__(self, cluster, authority):
        self.cluster, self.authority = cluster, authority
        self.node = cluster.node("ingress1")

    def connect(self, listener="proxied", source=BALANCER):
        return socket.create_connection(self.cluster.address(listener), timeout=20, source_address=(source, 0))

    def may_relay(self, header, pieces=1):
        """Whether the client of that header may send anywhere; the header may come in pieces."""
        with self.connect() as one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(pieces):
                one.sendall(header[len(header) * i // pieces:len(header) * (i + 1) // pieces])
            file = one.makefile("rb")
            assert file.readline().startswith(b"220 ")
            one.sendall(b"HELO client.test\r\n")
            assert file.readline().startswith(b"250 ")
            one.sendall(b"MAIL FROM:<a@foreign.test>\r\n")
            assert file.readline().startswith(b"250 ")
            one.sendall(b"RCPT TO:<b@ours.test>\r\nRCPT TO:<b@foreign.test>\r\n")
            assert file.readline().startswith(b"250 ")
            return file.readline().startswith(b"250 ")

    def closes_without_a_word(self, data, listener="proxied", source=BALANCER):
        with self.connect(listener, source) as one:
            if data:
                one.sendall(data)
            try:
                return one.recv(100) == b""
            except ConnectionResetError:
                return True


@pytest.fixture(scope="module")
def place():
    authority = Authority(paths.scratch("authority"))
    settings = {"tls": {"certificates": [authority.issue("localhost")]}, "log": {"level": "debug"}}
    with Cluster(dispatchers=0, couriers=0, settings=settings, listeners=_LISTENERS) as cluster:
        yield Place(cluster, authority)


# proves: E03 E05
@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize("client, is_trusted", [("127.0.0.1", True), ("127.255.0.1", True), ("::1", True), ("192.0.2.7", False), ("10.0.0.1", False), ("172.17.0.1", False),
                                                ("192.168.0.1", False), ("2001:db8::1", False), ("fe80::1", False), ("fd00::1", False), ("::", False), ("0.0.0.0", False)])
def test_trusted_is_whom_the_header_names(place, make, client, is_trusted):
    """Also 172.17.0.1, as which a container's gateway shows all the world: by default it is nobody special."""
    assert place.may_relay(make(client)) == is_trusted


# proves: E05
def test_a_mapped_address_is_the_ipv4_address(place):
    assert place.may_relay(v1("::ffff:127.0.0.1"))
    assert place.may_relay(v2("::ffff:127.0.0.1"))
    assert not place.may_relay(v1("::ffff:192.0.2.1"))
    assert not place.may_relay(v2("::ffff:192.0.2.1"))


# proves: E05
def test_unknown_and_local_are_the_balancer_itself(place):
    for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", LOCAL, _SIGNATURE + b"\x21\0\0\0"):
        assert place.may_relay(header)


# proves: E05
def test_a_header_may_come_in_pieces_and_with_more_in_it(place):
    for header in (v1("192.0.2.7"), v2("192.0.2.7"), v2("192.0.2.7", b"\x04\0\x03abc" * 40)):
        for pieces in (2, 5, len(header)):
            assert not place.may_relay(header, pieces)


_BROKEN = {
    "absent": b"EHLO client.test\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    "bare LF": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\n",
    "no end": b"PROXY UNKNOWN " + b"x" * 107,
    "scope": b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
    "family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "small letters": b"proxy TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
    "port": b"PROXY TCP4 127.0.0.1 127.0.0.1 65536 2\r\n",
    "blanks": b"PROXY  TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
    "UDP": _SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),
    "unix": _SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
    "too short": _SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
    "too long": _SIGNATURE + b"\x20\0\xff\xff",
    "version 3": _SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
    "command": _SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
}


# proves: E04 E05
@pytest.mark.parametrize("name", list(_BROKEN))
def test_a_broken_header_gets_no_answer(place, name):
    before = place.node.metrics()["barid_arrivals_refused_total"]
    assert place.closes_without_a_word(_BROKEN[name])
    wait.until(lambda: place.node.metrics()["barid_arrivals_refused_total"] == before + 1, 20, "it is counted")


# proves: E04
def test_others_may_not_speak_proxy_and_get_no_answer(place):
    for data in (b"", v1("127.0.0.1"), v2("127.0.0.1"), LOCAL, b"EHLO client.test\r\n"):
        assert place.closes_without_a_word(data, source=OTHER)


# proves: E04
def test_a_header_is_garbage_where_none_is_wanted(place):
    for header in (v1("127.0.0.1"), v2("127.0.0.1")):
        for source in (BALANCER, OTHER):
            with place.connect("bare", source) as one:
                assert one.recv(1) == b"2"  # the greeting: it is not early
                one.sendall(header + b"EHLO client.test\r\n")
                told = b""
                try:
                    while piece := one.recv(1000):
                        told += piece
                except ConnectionResetError:
                    pass
                assert b"\r\n250" not in told


# proves: E04
def test_a_second_header_is_no_header(place):
    with place.connect() as one:
        one.sendall(v1("192.0.2.7"))
        file = one.makefile("rb")
        assert file.readline().startswith(b"220 ")
        one.sendall(v1("127.0.0.1"))
        assert file.readline() == b""


# proves: E05
def test_a_late_header_gets_no_answer(place):
    """Five seconds, and no longer, however much of it has come."""
    began, waiting = time.monotonic(), []
    for start in (b"", b"P", b"PROXY TCP4 127.0.0.1 ", _SIGNATURE[:7], _SIGNATURE + b"\x21\x11\0\x0c"):
        waiting.append(place.connect())
        waiting[-1].sendall(start)
    for one in waiting:
        with one:
            try:
                assert one.recv(100) == b""
            except ConnectionResetError:
                pass
            assert 4 < time.monotonic() - began < 15


# proves: E06
def test_the_header_comes_before_tls(place):
    context = place.authority.client()
    for header, code in ((v1("192.0.2.7"), b"250"), (v2("192.0.2.7"), b"250"), (v2("198.51.100.7"), b"550")):
        with place.connect("submissions") as one:
            one.sendall(header)
            with context.wrap_socket(one, server_hostname="localhost") as secure:
                file = secure.makefile("rb")
                assert file.readline().startswith(b"220 ")
                for line in (b"HELO client.test", b"MAIL FROM:<a@b.test>"):
                    secure.sendall(line + b"\r\n")
                    assert file.readline().startswith(b"250 ")
                secure.sendall(b"RCPT TO:<c@foreign.test>\r\n")
                assert file.readline().startswith(code)
    assert place.closes_without_a_word(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + v1("192.0.2.7"), "submissions")


# proves: E06
def test_header_and_tls_hello_may_come_in_one_piece(place):
    """Not one byte of what follows the header is taken with it."""
    context, incoming, outgoing = place.authority.client(), ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with place.connect("submissions") as one:
        first = v2("192.0.2.7", b"\x04\0\x01x")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                one.sendall(first + outgoing.read())
                first = b""
                incoming.write(one.recv(65536))
        one.sendall(outgoing.read())
        while True:
            try:
                assert tls.read(4) == b"220 "
                break
            except ssl.SSLWantReadError:
                incoming.write(one.recv(65536))


# proves: E07
def test_health_checks_tell_nothing_and_count_against_no_limit(place):
    before = place.node.metrics()
    told = place.node.log_text().count(" warn ")
    for _ in range(20):
        place.connect().close()
        with place.connect() as one:
            one.sendall(LOCAL)
            assert one.recv(10).startswith(b"220")
    wait.until(lambda: place.node.metrics()["barid_sessions"] == 0, 20, "no session left")
    after = place.node.metrics()
    for name in ("barid_arrivals_refused_total", "barid_commands_refused_total", "barid_sessions_refused_total"):
        assert after.get(name) == before.get(name), name
    assert place.node.log_text().count(" warn ") == told


# proves: E08
def test_xclient_is_for_listed_peers_only(place):
    with Client(place.cluster.address("bare"), source=OTHER) as client:
        assert not any(line.startswith("XCLIENT") for line in client.hello)
        assert client.code("XCLIENT ADDR=127.0.0.1") // 100 == 5
        assert client.code("XFORWARD ADDR=127.0.0.1") // 100 == 5
        assert client.code("MAIL FROM:<a@b.test>") == 250
    with Client(place.cluster.address("bare"), source=BALANCER) as client:
        assert any(line.startswith("XCLIENT") for line in client.hello)
        assert client.code("XCLIENT ADDR=198.51.100.9 NAME=[UNAVAILABLE]") == 220
        assert client.code("MAIL FROM:<a@b.test>") == 503
        assert client.code("EHLO client.test") == 250
        assert client.code("MAIL FROM:<a@b.test>") == 250
        assert client.code("RCPT TO:<c@foreign.test>") == 550


# proves: E08 E03
def test_xclient_counts_from_the_client_of_the_header(place):
    """Behind a balancer it is the client that may be listed, never the balancer."""
    for client, is_listed in (("192.0.2.25", True), ("192.0.2.26", False), (BALANCER, False)):
        with place.connect() as one:
            one.sendall(v1(client))
            file = one.makefile("rb")
            assert file.readline().startswith(b"220 ")
            one.sendall(b"EHLO client.test\r\n")
            offered = []
            while not offered or offered[-1][3:4] == b"-":
                offered.append(file.readline())
            assert any(line[4:].startswith(b"XCLIENT") for line in offered) == is_listed
            one.sendall(b"XCLIENT ADDR=127.0.0.1\r\n")
            assert file.readline().startswith(b"220 " if is_listed else b"5")
