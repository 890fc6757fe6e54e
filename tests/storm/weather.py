"""What blows in a storm: peers that say anything at each socket, and peers of ours that answer anything."""

import contextlib
import socket
import ssl
import struct
import threading
import time

from harness.bus import Stranger, key_pair
from harness.dns import from_zone
from harness.policy_host import Answer, policy
from mutation import corpus, dialogues, pieces, spoilt

_HELLO = b"EHLO storm.test\r\n"
_PROXY = [b"PROXY TCP4 127.0.0.1 127.0.0.2 5 25\r\n", b"PROXY UNKNOWN\r\n",
          b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([127, 0, 0, 1, 127, 0, 0, 2, 0, 5, 0, 25]),
          b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
          b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x54" + bytes(36) + b"\x20\0\x2d\1\0\0\0\0\x21\0\7TLSv1.3\x22\0\4test\x04\0\x10" + bytes(16)]
_REQUESTS = [b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", b"HEAD /healthz HTTP/1.0\r\n\r\n",
             b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", b"GET /?a=%00%ff&b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
             b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nRange: bytes=0-\r\nCookie: a=b\r\nAuthorization: Basic AAAA\r\n\r\n"]
_CURVE = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(15) + bytes(32)
_ZMTP = [_CURVE, _CURVE + b"\4\xc8\5HELLO\1\0" + bytes(72) + bytes(range(120)), _CURVE.replace(b"CURVE", b"NULL\0") + b"\4\x29\5READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\0",
         _CURVE + b"\4\xc8\5HELLO\1\0" + bytes(192) + b"\6\0\0\0\0\0\0\1\x01\x08INITIATE" + bytes(248), _CURVE + b"\4\7\5ERROR\0", b"\1\0\0\0", b"\xff\0\0\0\0\0\0\0\1\x7f\1\5"]
_REPLIES = [b"220 mx.test ESMTP\r\n", b"250-mx.test\r\n250-SIZE 1000000\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-SMTPUTF8\r\n250 DSN\r\n", b"220 go ahead\r\n", b"250 2.1.0 Ok\r\n",
            b"354 end with .\r\n", b"250 2.0.0 queued\r\n", b"421 4.3.2 busy\r\n", b"550-5.1.1 no\r\n550 5.1.1 such user\r\n", b"451 4.7.1 later\r\n", b"221 bye\r\n"]
_AUTH = [b"AUTH PLAIN AGFubgBzZWNyZXQ=\r\n", b"AUTH LOGIN\r\nYW5u\r\nc2VjcmV0\r\n", b"AUTH SCRAM-SHA-256 biwsbj1hbm4scj1mb29iYXI=\r\nYz1iaXdz\r\n", b"AUTH PLAIN =\r\n", b"AUTH OAUTHBEARER bixhPWFubiwBAQ==\r\n"]
_DOVECOT = [b"OK\t1\tuser=ann\n", b"FAIL\t1\tuser=ann\treason=no\n", b"CONT\t1\tPHJhbmRvbT4=\n", b"FAIL\t1\ttemp\n", b"NOTFOUND\t1\n", b"OK\t2\n", b"DONE\n", b"MECH\tPLAIN\n"]
_PAUSE_S, _READ_S = 0.01, 0.2


class Gust(threading.Thread):
    """Blows until the storm is over. Each has its own dice: what it does depends on seed and name only."""

    def __init__(self, storm, name, blow):
        super().__init__(daemon=True, name=name)
        self.storm, self.dice, self.count, self.failure = storm, storm.dice(name), 0, None
        self._blow = blow

    def run(self):
        try:
            while not self.storm.is_over.wait(_PAUSE_S):
                with contextlib.suppress(OSError):  # what is refused, reset or late is what is to be expected
                    self._blow(self.dice)
                self.count += 1
        except Exception as failure:  # a fault of the storm's own  # noqa: BLE001
            self.failure = failure


def _connected(dice, address):
    stream = socket.create_connection(address, 5)
    stream.settimeout(_READ_S)
    if dice.random() < 0.3:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it ends by a reset
    return stream


def _say(dice, stream, octets):
    for piece in pieces(dice, octets):
        stream.sendall(piece)
    if dice.random() < 0.5:
        _hear(stream)


def _hear(stream):
    with contextlib.suppress(OSError):
        stream.recv(65536)


def _within_tls(stream):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stream.settimeout(5)
    inside = context.wrap_socket(stream, do_handshake_on_connect=True)
    inside.settimeout(_READ_S)
    return inside


class Sessions:
    """At an SMTP listener."""

    def __init__(self, address, is_implicit=False, is_proxied=False):
        self.address, self.is_implicit, self.is_proxied = address, is_implicit, is_proxied
        self.samples = dialogues() + corpus("smtp_server") + [_HELLO + line for line in _AUTH]
        self.proxies, self.hellos = corpus("proxy") + _PROXY, corpus("tls")

    def __call__(self, dice):
        with _connected(dice, self.address) as stream:
            if self.is_proxied:
                _say(dice, stream, dice.choice(_PROXY) if dice.random() < 0.5 else spoilt(dice, self.proxies))
            if self.is_implicit:
                self._shake(dice, stream)
            elif dice.random() < 0.4:
                stream.sendall(_HELLO + b"STARTTLS\r\n" + (spoilt(dice, self.hellos) if dice.random() < 0.3 else b""))
                self._wait_for(stream, b"\n220 ")
                self._shake(dice, stream)
            else:
                self._talk(dice, stream)

    @staticmethod
    def _wait_for(stream, words):
        heard = b"\n"
        stream.settimeout(2)
        while words not in heard.replace(b"220 ", b"", 1):
            octets = stream.recv(4096)
            if not octets:
                return
            heard += octets
        stream.settimeout(_READ_S)

    def _shake(self, dice, stream):
        if dice.random() < 0.4:
            _say(dice, stream, spoilt(dice, self.hellos))
            return
        inside = _within_tls(stream)
        if dice.random() < 0.7:
            self._talk(dice, inside)
        if dice.random() < 0.5:  # beneath it
            with socket.socket(fileno=inside.detach()) as beneath:
                beneath.sendall(spoilt(dice, self.hellos + self.samples))

    def _talk(self, dice, stream):
        if dice.random() < 0.6:
            stream.sendall(_HELLO)
            _hear(stream)
        _say(dice, stream, spoilt(dice, self.samples))


class Octets:
    """At any port: what is made of these samples."""

    def __init__(self, address, samples):
        self.address, self.samples = address, samples

    def __call__(self, dice):
        with _connected(dice, self.address) as stream:
            _say(dice, stream, spoilt(dice, self.samples, most=400000))
            if dice.random() < 0.1:
                self._linger(stream)

    @staticmethod
    def _linger(stream):
        stream.settimeout(1)
        _hear(stream)


def requests(address):
    return Octets(address, _REQUESTS)


def frames(address):
    return Octets(address, _ZMTP + corpus("frame"))


class Strangers:
    """Whole handshakes on the bus, under keys of nobody, or without any."""

    def __init__(self, address, hub_key):
        self.address, self.hub_key, self.samples = address, hub_key, corpus("frame")

    def __call__(self, dice):
        keys = [key_pair(), self.hub_key()] if dice.random() < 0.7 else []
        with Stranger(self.address, *keys) as stranger:
            for _ in range(50):
                stranger.say(spoilt(dice, self.samples))
                time.sleep(_PAUSE_S)  # rule: how fast a stranger talks


# ---- those whom we ask

class MailHosts:
    """Listen at some addresses and answer as no mail host would, or only nearly so."""

    def __init__(self, storm, hosts, port):
        self._samples, self._storm, self.count = _REPLIES + corpus("reply"), storm, 0
        self._servers = [socket.create_server((host, port), backlog=100) for host in hosts]
        for number, server in enumerate(self._servers):
            threading.Thread(target=self._serve, args=(server, number), daemon=True).start()

    def close(self):
        for server in self._servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()

    def _serve(self, server, number):
        sessions = 0
        while True:
            try:
                stream = server.accept()[0]
            except OSError:
                return
            sessions += 1
            self.count += 1
            dice = self._storm.dice(f"host {number} session {sessions}")
            threading.Thread(target=self._converse, args=(stream, dice), daemon=True).start()

    def _converse(self, stream, dice):
        spoils = dice.choice([0.05, 0.2, 1])
        with stream, contextlib.suppress(OSError):
            stream.settimeout(3)
            usual = {b"EHLO": _REPLIES[1], b"HELO": _REPLIES[3], b"STARTTLS": _REPLIES[2], b"DATA": _REPLIES[4], b"QUIT": _REPLIES[9]}
            self._answer(dice, stream, _REPLIES[0], spoils)
            while line := stream.recv(65536):
                verb = line[:20].split(None, 1)[0].upper() if line.strip() else b""
                self._answer(dice, stream, usual.get(verb, _REPLIES[3]), spoils)
                if verb == b"STARTTLS":
                    stream.sendall(spoilt(dice, self._samples))

    def _answer(self, dice, stream, usual, spoils):
        octets = spoilt(dice, self._samples + [usual] * 50) if dice.random() < spoils else usual
        for piece in pieces(dice, octets):
            stream.sendall(piece)


def spoilt_answers(storm, name):
    """An action of ScriptedDns: what the zone says, spoilt."""
    dice, honest, lock, samples = storm.dice(f"dns {name}"), from_zone(), threading.Lock(), corpus("dns_answer")

    def act(server, question, asked, kind, transport):
        reply = honest(server, question, asked, kind, transport).to_wire(max_size=65535)
        with lock:
            if dice.random() < 0.3:
                return reply
            head = reply[:2]  # the number of the question, else nobody looks at the rest
            return (head if dice.random() < 0.9 else b"") + spoilt(dice, [reply] * len(samples) + samples, most=4000)[2:]
    return act


def spoil_policies(storm, host, domain):
    """A blow: another policy at the host of this domain."""
    samples = corpus("sts") + [policy(f"mx.{domain}").encode()]

    def blow(dice):
        headers = [spoilt(dice, [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Location: https://localhost/", b"X: y"], most=2000).decode("latin-1")] if dice.random() < 0.5 else []
        status = dice.choice(["200 OK", "200 OK", "200 OK", "301 Moved", "500 No", "99999 ?", "\xff"])
        host.serve(domain, Answer(spoilt(dice, samples, most=100000), status, dice.choice(["text/plain", "text/plain", "", "\x01"]), headers, drop=dice.random() < 0.1))
        storm.is_over.wait(0.2)
    return blow


def spoilt_dovecot(storm):
    """answer() for ScriptedDovecot."""
    dice, samples, lock = storm.dice("dovecot"), _DOVECOT + corpus("dovecot"), threading.Lock()

    def answer(words):
        with lock:
            if dice.random() < 0.05:
                return None
            number = words[1] if len(words) > 1 else b"1"
            return spoilt(dice, samples, most=20000).replace(b"\t1\t", b"\t" + number + b"\t")
    return answer
