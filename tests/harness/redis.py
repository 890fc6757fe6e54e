"""
A private redis-server, and the power failure: SIGKILL, then everything cut off that no fsync had covered.
"""

import glob
import os
import shutil
import signal
import struct

import redis as client

from . import paths, ports
from .process import Process

_SLOT = struct.Struct("<112sQQ")


def server_binary(folder):
    """
    A redis-server in `folder`: the host's, or redis-tools' redis-check-rdb under the name that makes it a
    server.
    """
    link = os.path.join(folder, "redis-server")
    if not os.path.lexists(link):
        names = ("redis-server", "redis-check-rdb")
        real = next(filter(None, (shutil.which(name, path="/usr/bin") for name in names)), None)
        if real is None:
            raise FileNotFoundError("no redis-check-rdb: run deploy/install-packages build")
        os.symlink(os.path.realpath(real), link)
    return link


class RedisServer:
    """
    appendfsync: "always", "everysec" or "no". tcp: also listen on a port of 127.0.0.1 (`.port`). options:
    further settings by their names in redis.conf, e.g. {"maxmemory": "64mb"}. witness=False leaves the fsync
    witness out (benchmarks).
    """

    def __init__(self, folder=None, appendfsync="always", tcp=False, options=None, witness=True,
                 name="redis"):
        self._own_folder = folder is None
        self.folder = folder or paths.scratch("redis")
        os.makedirs(self.folder, exist_ok=True)
        self.name = name
        self.appendfsync = appendfsync
        self.port = ports.free_port() if tcp else 0
        self.socket = os.path.join(self.folder, "redis.sock")
        if len(self.socket) > 107:
            raise ValueError(f"path too long for a unix socket: {self.socket}")
        self.options = dict(options or {})
        self.witness = witness
        self.table = os.path.join(self.folder, "fsynced")
        self.cuts = []
        env = dict(os.environ)
        if witness:
            env["LD_PRELOAD"] = paths.compiled("fsync_witness.c", "fsync_witness.so", "-shared", "-fPIC",
                                               "-ldl", "-lpthread")
            env["BARID_FSYNC_WITNESS"] = self.table
        self.process = Process(
            name, [server_binary(self.folder), os.path.join(self.folder, "redis.conf")],
            os.path.join(self.folder, "redis.log"), env=env, cwd=self.folder)

    def _write_conf(self):
        settings = {
            "port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket, "unixsocketperm": 777,
            "dir": self.folder, "daemonize": "no", "save": '""', "appendonly": "yes",
            "appendfsync": self.appendfsync,
            "no-appendfsync-on-rewrite": "no", "aof-load-truncated": "yes", "maxmemory-policy": "noeviction",
            "auto-aof-rewrite-min-size": "256mb", "enable-debug-command": "local", "latency-tracking": "no",
            **self.options}
        with open(os.path.join(self.folder, "redis.conf"), "w") as conf:
            for key, value in settings.items():
                conf.write(f"{key} {value}\n")

    @property
    def url(self):
        return f"unix:{self.socket}"

    @property
    def pid(self):
        return self.process.pid

    def client(self, **more):
        """A new redis-py client over the unix socket (bytes in, bytes out unless decode_responses)."""
        return client.Redis(unix_socket_path=self.socket, **more)

    def _is_ready(self):
        try:
            with self.client() as connection:
                return connection.ping()
        except client.exceptions.RedisError:
            return False

    def start(self, timeout=30):
        self._write_conf()
        self.process.start()
        self.process.wait_until(self._is_ready, timeout, "PONG from redis")
        return self

    def __enter__(self):
        return self if self.process.alive() else self.start()

    def __exit__(self, kind, *_):
        self.stop()
        if self._own_folder and kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        """A clean end: everything synced."""
        self.process.end(timeout=20)

    def kill(self):
        """SIGKILL alone: loses nothing, whatever appendfsync says, because the page cache survives."""
        self.process.kill()

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def synced(self):
        """Append-only file name -> the length that the last successful fsync covered."""
        lengths = {}
        with open(self.table, "rb") as table:
            for name, length, _ in _SLOT.iter_unpack(table.read()):
                if name[0]:
                    lengths[name.rstrip(b"\0").decode()] = length
        return lengths

    def kill_and_cut(self):
        """
        A power failure: SIGKILL, then each append-only file cut to what was synced. Returns how many bytes
        were lost.
        """
        if not self.witness:
            raise RuntimeError("kill_and_cut needs the witness")
        self.process.kill()
        synced = self.synced()
        lost = 0
        for path in glob.glob(os.path.join(self.folder, "appendonlydir", "*.incr.aof")):
            length = os.path.getsize(path)
            keep = min(length, synced.get(os.path.basename(path), 0))
            if keep < length:
                os.truncate(path, keep)
                lost += length - keep
        self.cuts.append(lost)
        return lost

    def restart(self, cut=False):
        """kill (and cut), and start again."""
        lost = self.kill_and_cut() if cut else self.kill()
        self.start()
        return lost
