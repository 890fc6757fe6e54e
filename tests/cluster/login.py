"""
AUTH by hand: a client that says lines and reads replies, and the client's side of SCRAM (RFC 5802), so that tests can bend it.
"""

import base64
import hashlib
import hmac
import os
import socket
import ssl


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def plain(name, password, authzid=""):
    return b64(b"\0".join(part.encode() if isinstance(part, str) else part for part in (authzid, name, password)))


class Client:
    """A connection to a listener; replies are (code, [lines]). With `context` it starts TLS first, and says EHLO again."""

    def __init__(self, address, context=None, source=None, timeout=20):
        self.socket = socket.create_connection(address, timeout=timeout, source_address=(source, 0) if source else None)
        self.file = self.socket.makefile("rb")
        assert self.read()[0] == 220
        self.hello = self.say("EHLO client.test")[1]
        if context:
            assert self.say("STARTTLS")[0] == 220
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
            self.file = self.socket.makefile("rb")
            self.hello = self.say("EHLO client.test")[1]

    def read(self):
        lines = []
        while True:
            line = self.file.readline()
            if not line:
                return 0, lines
            lines.append(line[4:].rstrip(b"\r\n").decode())
            if line[3:4] != b"-":
                return int(line[:3]), lines

    def send(self, line):
        self.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")

    def say(self, line):
        self.send(line)
        return self.read()

    def code(self, line):
        return self.say(line)[0]

    def mechanisms(self):
        """What EHLO offers."""
        return next((line.split()[1:] for line in self.hello if line.startswith("AUTH")), [])

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- SCRAM

    def scram(self, name, password, mechanism="SCRAM-SHA-256", gs2="n,,", channel=b"", binding=None):
        """The whole exchange; the last code. gs2: the header said first; binding: said in the final message, when not that header and channel."""
        code, final, signature = self.scram_begin(name, password, mechanism, gs2, channel, binding)
        if code != 334:
            return code
        code, lines = self.say(final)
        if code != 334:
            return code
        assert base64.b64decode(lines[0]) == b"v=" + b64(signature).encode(), "the server does not know the password"
        return self.code("")

    def scram_begin(self, name, password, mechanism="SCRAM-SHA-256", gs2="n,,", channel=b"", binding=None):
        """All but the proof: (334, the line with it, the server's signature), or another code and None."""
        nonce = b64(os.urandom(18))
        quoted = name.replace("=", "=3D").replace(",", "=2C")
        bare = f"n={quoted},r={nonce}"
        code, lines = self.say(f"AUTH {mechanism} {b64(gs2 + bare)}")
        if code != 334:
            return code, None, None
        server_first = base64.b64decode(lines[0]).decode()
        attributes = dict(part.split("=", 1) for part in server_first.split(","))
        assert attributes["r"].startswith(nonce)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(attributes["s"]), int(attributes["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c={b64(binding if binding is not None else gs2.encode() + channel)},r={attributes['r']}"
        message = ",".join((bare, server_first, without)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        return code, b64(f"{without},p={b64(proof)}"), hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")

    def end_point_binding(self):
        """tls-server-end-point of this connection (RFC 5929): the hash of the server's certificate."""
        assert isinstance(self.socket, ssl.SSLSocket)
        return hashlib.sha256(self.socket.getpeercert(binary_form=True)).digest()
