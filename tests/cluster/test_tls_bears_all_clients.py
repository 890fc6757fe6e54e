"""TLS over real sockets: what clients of all kinds and attackers do with it, tickets from node to node, and the end of it in the middle of a message."""

import re
import socket
import ssl
import subprocess

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster

_LISTENERS = {
    "public": {"role": "relay", "relay_domains": ["in.test"]},
    "wrapped": {"role": "submissions", "auth": "off", "relay_domains": ["in.test"]},
    "submission": {"role": "submission"},
    "bare": {"role": "relay", "tls": "off", "relay_domains": ["in.test"]},
}


class Wire:
    """A connection whose TLS the test holds in its hands: `hello` to begin it, `say` inside it, `put` beside it."""

    def __init__(self, address, context=None, name="localhost"):
        self.socket = socket.create_connection(address, timeout=20)
        self.tls, self.name, self.context = None, name, context
        self.text = b""

    def start(self, session=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_hostname=self.name, session=session)
        self._until(self.tls.do_handshake)
        return self

    def flush(self):
        out = self.outgoing.read()
        if out:
            self.socket.sendall(out)

    def _until(self, step):
        while True:
            try:
                done = step()
                self.flush()
                return done
            except ssl.SSLWantReadError:
                self.flush()
                more = self.socket.recv(65536)
                if more:
                    self.incoming.write(more)
                else:
                    self.incoming.write_eof()

    def read(self):
        """One reply: (code, text); (0, ...) at the end."""
        while not re.search(rb"^\d{3} .*\r\n\Z", self.text, re.MULTILINE):
            try:
                more = self._until(lambda: self.tls.read(65536)) if self.tls else self.socket.recv(65536)
            except (ssl.SSLError, ConnectionError):
                more = b""
            if not more:
                return 0, self.text
            self.text += more
        text, self.text = self.text, b""
        return int(text.splitlines()[-1][:3]), text

    def send(self, data):
        if self.tls:
            self._until(lambda: self.tls.write(data))
        else:
            self.socket.sendall(data)

    def say(self, line):
        self.send(line + b"\r\n")
        return self.read()[0]

    def end_tls(self, then=b""):
        """close_notify, and plain bytes in the same segment."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.socket.sendall(self.outgoing.read() + then)

    def rest(self):
        """All that still comes, as it is on the wire; then the connection is closed."""
        found = b""
        try:
            while more := self.socket.recv(65536):
                found += more
        except ConnectionError:
            pass
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Place:
    def __init__(self, cluster, authority):
        self.cluster, self.authority = cluster, authority

    def context(self, **rows):
        context = self.authority.client()
        context.check_hostname = False
        for name, value in rows.items():
            setattr(context, name, value)
        return context

    def wire(self, listener="public", number=1, context=None, session=None, name="localhost"):
        """In an SMTP session inside TLS, EHLO said."""
        wire = Wire(self.cluster.address(listener, number), context or self.context(), name)
        if listener != "wrapped":
            assert wire.read()[0] == 220 and wire.say(b"EHLO client.test") == 250 and wire.say(b"STARTTLS") == 220
        wire.start(session)
        if listener == "wrapped":
            assert wire.read()[0] == 220
        assert wire.say(b"EHLO client.test") == 250
        return wire

    def s_client(self, listener, *options):
        """What openssl's client tells, and whether its handshake was done."""
        host, port = self.cluster.address(listener)
        starttls = ["-starttls", "smtp"] if listener == "public" else []
        done = subprocess.run(["openssl", "s_client", "-connect", f"{host}:{port}", *starttls, "-CAfile", self.authority.ca, *options],
                              input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
        text = done.stdout.decode("utf-8", "replace")
        return text, bool(re.search(r"^(New|Reused), TLS", text, re.MULTILINE))

    def lives(self):
        """The same process still serves."""
        assert self.cluster.node("ingress1").process.alive()
        with self.wire() as wire:
            assert wire.say(b"QUIT") == 221

    def stored(self):
        return len(self.cluster.redis.client().keys("j:*")) + len(self.cluster.redis.client().keys("b:*"))


@pytest.fixture(scope="module")
def place():
    authority = Authority(paths.scratch("authority"))
    settings = {"tls": {"certificates": [authority.issue("localhost")], "handshake_timeout": "1s", "max_handshakes": 20}}
    with Cluster(ingress=2, dispatchers=0, couriers=0, settings=settings, listeners=_LISTENERS) as cluster:
        yield Place(cluster, authority)


# ---- what is spoken

# proves: C01 C05
@pytest.mark.parametrize("listener", ["public", "wrapped"])
def test_openssl_speaks_the_versions_that_are_safe(place, listener):
    for option, version in (("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")):
        text, is_done = place.s_client(listener, option, "-verify_return_error", "-verify_hostname", "localhost")
        assert is_done and version in text and "Verify return code: 0 (ok)" in text, text
        assert "Compression: NONE" in text
    for options in (["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], ["-tls1", "-cipher", "DEFAULT:@SECLEVEL=0"],
                    ["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"]):
        assert not place.s_client(listener, *options)[1], options
    place.lives()


# proves: C01
def test_without_a_certificate_there_is_no_starttls(place):
    with Wire(place.cluster.address("bare")) as wire:
        assert wire.read()[0] == 220
        wire.send(b"EHLO client.test\r\n")
        assert b"STARTTLS" not in wire.read()[1]
        assert wire.say(b"STARTTLS") in (502, 503, 454)


# proves: C05
def test_the_server_s_order_counts_and_it_is_not_asked_twice(place):
    text, is_done = place.s_client("wrapped", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384")
    assert is_done and "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in text
    assert "Secure Renegotiation IS supported" in text
    host, port = place.cluster.address("wrapped")
    with subprocess.Popen(["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as client:
        said = b""
        while b"\n220 " not in said:  # what comes after the question would be taken for the answer to it
            line = client.stdout.readline()
            assert line, said
            said += line
        said, _ = client.communicate(b"R\n", timeout=30)
    assert b"no renegotiation" in said or b"RENEGOTIATING" not in said


# proves: B18
def test_clients_of_other_protocols_are_refused(place):
    for listener in ("public", "wrapped"):
        text, is_done = place.s_client(listener, "-alpn", "h2,http/1.1")
        assert not is_done and "no application protocol" in text, text
        assert place.s_client(listener, "-alpn", "smtp")[1]
        assert place.s_client(listener)[1]


# proves: C04 B18
def test_the_wrong_language_is_no_harm(place):
    with pytest.raises((ssl.SSLError, ConnectionError)):  # TLS to those who speak plain first
        Wire(place.cluster.address("bare"), place.context()).start()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire(place.cluster.address("public"), place.context()).start()
    for words in (b"EHLO client.test\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 300, b"\x16\x03\x01\xff\xff" + b"\x01" * 300):
        with Wire(place.cluster.address("wrapped")) as wire:
            wire.socket.sendall(words)
            assert b"220" not in wire.rest()
    place.lives()


# ---- names

# proves: C07
def test_strange_names_are_only_names(place):
    for name in ("a" * 63 + ".test", "../../../etc/passwd", "localhost\\", "${run{x}}", "{c}:users", "%s%n", "*.localhost", "x" * 255, "\u00fc"):
        for listener in ("public", "wrapped"):
            text, is_done = place.s_client(listener, "-servername", name)
            assert is_done and "CN = localhost" in text, (name, text)
    hello = Wire(place.cluster.address("wrapped"), place.context(), "localhostlocalhost")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = hello.context.wrap_bio(incoming, outgoing, server_hostname=hello.name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello.socket.sendall(outgoing.read().replace(b"localhostlocalhost", b"localhost\0ocalhost"))
    assert b"220" not in hello.rest()
    place.lives()


# ---- time

# proves: C11
def test_handshakes_have_their_time_and_number(place):
    silent = [Wire(place.cluster.address("wrapped")) for _ in range(20)]
    wait.until(lambda: place.cluster.metric("barid_handshakes", "ingress") == 20, 20, "they are counted")
    with Wire(place.cluster.address("wrapped")) as one_more:
        assert one_more.rest() == b""
    with Wire(place.cluster.address("public")) as other:
        assert other.read()[0] == 220 and other.say(b"EHLO client.test") == 250
        code = other.say(b"STARTTLS")
    assert code in (454, 220)  # 220: their time was over before we came here
    for wire in silent:
        assert wire.rest() == b""
        wire.socket.close()
    wait.until(lambda: place.cluster.metric("barid_handshakes", "ingress") == 0, 20, "they are gone")
    half = Wire(place.cluster.address("wrapped"))
    half.socket.sendall(b"\x16\x03\x01\x02\x00\x01")
    assert half.rest() == b""
    place.lives()


# ---- the end of TLS

# proves: B38
@pytest.mark.parametrize("listener", ["public", "wrapped"])
@pytest.mark.parametrize("begin, code", [(b"DATA", 354), (b"BDAT 1000", None), (b"RSET", 250), (b"VRFY", None)])
@pytest.mark.parametrize("rest", [b"X", b"\r\n.\r\nMAIL FROM:<plain@x.test>\r\n", b"QUIT\r\n" * 200])
def test_plain_bytes_behind_the_end_of_tls_are_not_read(place, listener, begin, code, rest):
    before = place.stored()
    with place.wire(listener) as wire:
        assert wire.say(b"MAIL FROM:<s@out.test>") == 250 and wire.say(b"RCPT TO:<r@in.test>") == 250
        if code:
            assert wire.say(begin) == code
            wire.send(b"Subject: half\r\n\r\n" + b"x" * 480)
        else:
            wire.send(begin + b"\r\n" + b"x" * 500)
        wire.end_tls(rest)
        told = wire.rest()
        assert not re.search(rb"(^|\n)[2-5]\d\d[ -]", told), told  # nothing plain was answered
    place.lives()
    assert place.stored() == before


# proves: B38 C03
@pytest.mark.parametrize("begin", [b"AUTH PLAIN AGFubmFAaW4udGVzdA", b"AUTH LOGIN\r\n"])
@pytest.mark.parametrize("rest", [b"BhIGdvb2QgcGFzc3dvcmQ=\r\n", b"\r\nPROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nEHLO plain.test\r\n"])
def test_plain_bytes_behind_the_end_of_tls_are_no_login(place, begin, rest):
    with place.wire("submission") as wire:
        if begin.endswith(b"\n"):
            assert wire.say(begin[:-2]) == 334
            wire.send(b"YW5uYUBpbi50")
        else:
            wire.send(begin)
        wire.end_tls(rest)
        assert not re.search(rb"(^|\n)[2-5]\d\d[ -]", wire.rest())
    place.lives()


# ---- tickets

def _resumed(wire):
    is_resumed = wire.tls.session_reused
    wire.say(b"QUIT")
    return is_resumed


# proves: C09
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_is_good_at_all_nodes_but_at_one_listener(place, version):
    context = place.context(minimum_version=version, maximum_version=version)

    def ticket():
        with place.wire(context=context) as wire:
            wire.say(b"NOOP")
            return wire.tls.session if wire.tls.session.has_ticket else None

    session = wait.until(ticket, 20, "a ticket")
    for number in (1, 2):
        with place.wire(number=number, context=context, session=session) as wire:
            assert _resumed(wire), f"ingress{number}"
    with place.wire("wrapped", context=context, session=session) as wire:
        assert not _resumed(wire)
    assert all(len(value) == 32 for key in place.cluster.redis.client().keys("barid:{c}:ticket:*")
               for value in [place.cluster.redis.client().get(key)])


# ---- the operator's client

def _send(place, listener, *options):
    """The exit code, and all that was told."""
    host, port = place.cluster.address(listener)
    done = subprocess.run([paths.program("baridctl"), "send", "--server", f"{host}:{port}", "--to", "r@in.test", "--from", "anna@in.test", *options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
    return done.returncode, done.stdout.decode()


def test_baridctl_sends_inside_tls_and_logged_in(place):
    place.cluster.add_user("anna@in.test", "a good password")
    folder = paths.scratch("password")
    for word, text in (("good", "a good password\n"), ("bad", "a bad one\n")):
        with open(f"{folder}/{word}", "w") as file:
            file.write(text)
    login = ("--user", "anna@in.test", "--password-file", f"{folder}/good")
    for listener, options in (("public", ("--tls", "starttls")), ("wrapped", ("--tls", "implicit")), ("submission", ("--tls", "starttls", *login))):
        code, told = _send(place, listener, *options, "--count", "20", "--sessions", "3")
        assert code == 0 and told.count("queued as") == 20, told
    for options, words in (((), "530"), (login, "530"), (("--tls", "starttls"), "530"), (("--tls", "implicit"), "TLS"),
                           (("--tls", "starttls", *login[:3], f"{folder}/bad"), "535")):
        code, told = _send(place, "submission", *options)
        assert code != 0 and words in told, (options, told)
