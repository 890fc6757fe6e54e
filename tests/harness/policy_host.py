"""
A web server of MTA-STS policies: one certificate and one answer for each name, as honest or as hostile as told.
"""

import re
import socket
import ssl
import threading
import time

from . import ports

PATH = "/.well-known/mta-sts.txt"


def policy(*mx, mode="enforce", max_age=86400, end="\r\n"):
    """The text of a policy."""
    return end.join(["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx), f"max_age: {max_age}", ""])


class Answer:
    """What a request gets. body: text or bytes. gate: an Event it waits for. headers: further lines."""

    def __init__(self, body="", status="200 OK", content_type="text/plain", headers=(), gate=None, pieces=None, drop=False):
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.content_type, self.headers = status, content_type, list(headers)
        self.gate, self.pieces, self.drop = gate, pieces, drop


class PolicyHost:
    """
    HTTPS on `port` of `host`. newest: the newest version of TLS that it speaks. serve(domain, answer) makes it the policy host of a domain, with a certificate of
    `authority` for mta-sts.<domain>, or with another one. `.requests` is a list of (time, host, method, path).
    """

    def __init__(self, authority, host="127.0.0.1", port=None, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        self.authority, self.host, self.port, self.newest = authority, host, port or ports.free_port(), newest
        self.requests = []
        self._answers, self._contexts = {}, {}
        self._listener = None

    def serve(self, domain, answer=None, certificate=None):
        """answer: an Answer, or a policy's text; certificate: a PEM file. What is not given stays as it is."""
        name = f"mta-sts.{domain}"
        if answer is not None:
            self._answers[name] = answer if isinstance(answer, Answer) else Answer(answer)
        if certificate or name not in self._contexts:
            context = self._contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.load_cert_chain(certificate or self.authority.issue(name))
        return self

    def count(self, domain):
        """How many requests there were for a domain's policy."""
        return sum(1 for _, host, _, _ in list(self.requests) if host == f"mta-sts.{domain}")

    def start(self):
        self._listener = socket.create_server((self.host, self.port), backlog=100)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self):
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._listener = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _context(self):
        """A context that becomes that of the name asked for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def choose(inside, name, _context):
            if name not in self._contexts:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            inside.context = self._contexts[name]
            return None

        context.sni_callback = choose
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, self.newest
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context

    def _serve(self, connection):
        try:
            connection.settimeout(60)
            with self._context().wrap_socket(connection, server_side=True) as stream:
                self._answer(stream)
        except (OSError, ssl.SSLError):
            connection.close()

    def _answer(self, stream):
        request = b""
        while b"\r\n\r\n" not in request:
            piece = stream.recv(4096)
            if not piece:
                return
            request += piece
        method, path, _ = request.split(b"\r\n", 1)[0].decode().split(" ", 2)
        host = re.search(rb"(?i)\r\nhost: *([^\r:]+)", request).group(1).decode()
        self.requests.append((time.monotonic(), host, method, path))
        answer = self._answers.get(host) or Answer("no such policy\n", "404 Not Found")
        if path != PATH:
            answer = Answer("nothing here\n", "404 Not Found")
        if answer.gate:
            answer.gate.wait(60)
        if answer.drop:
            return
        head = [f"HTTP/1.1 {answer.status}", *answer.headers, "Connection: close"]
        if answer.content_type:
            head.append(f"Content-Type: {answer.content_type}")
        stream.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
        if answer.pieces:  # a body that never ends
            while True:
                stream.sendall(answer.pieces)
        stream.sendall(answer.body)
        stream.unwrap()
