"""HAProxy in TCP mode in front of the ingresses."""

import os
import shutil

from . import paths, ports
from .process import Process

_CONF = """\
global
    maxconn 400
    log stdout format raw local0 info
defaults
    mode tcp
    log global
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    retries 3
    option redispatch
frontend smtp
    bind {host}:{port}
    default_backend ingress
backend ingress
    balance {balance}
{servers}
"""


class HaProxy:
    """
    backends: [(host, port)]. Sessions go to those that accept connections, round robin. send_proxy: with
    PROXY v2 headers.
    """

    def __init__(self, backends, port=None, host="127.0.0.1", balance="roundrobin", send_proxy=False):
        self.backends, self.host, self.port = list(backends), host, port or ports.free_port()
        self.balance, self.send_proxy = balance, send_proxy
        self.folder = paths.scratch("haproxy")
        self.process = Process("haproxy",
                               [paths.peer("haproxy"), "-db", "-f", os.path.join(self.folder, "haproxy.cfg")],
                               os.path.join(self.folder, "haproxy.log"), env=paths.peer_environment(),
                               cwd=self.folder)

    def start(self, timeout=10):
        extra = " send-proxy-v2" if self.send_proxy else ""
        servers = "".join(f"    server s{n} {host}:{port} check inter 200ms fall 2 rise 1{extra}\n"
                          for n, (host, port) in enumerate(self.backends))
        with open(os.path.join(self.folder, "haproxy.cfg"), "w") as conf:
            conf.write(_CONF.format(host=self.host, port=self.port, balance=self.balance, servers=servers))
        self.process.start()
        self.process.wait_until(lambda: ports.accepts(self.port, self.host), timeout, "haproxy listens")
        return self

    def stop(self):
        self.process.end()

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
