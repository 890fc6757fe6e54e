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

_SLOT = struct.Struct("<104sQQQ")

_TEMPORARY = "temp-appendonly.aof.incr"

TLS_NAME = "redis.test"  # what the certificates of all servers are for
HARNESS = ("harness", "harness-secret")  # the user of the tests themselves, of replicas and of Sentinels, where there is an ACL file


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


def tls_settings(authority):
    """What store.* must be for servers whose certificates this Authority signed; None: plain."""
    return {"tls": True, "tls_ca_file": authority.ca, "tls_name": TLS_NAME} if authority else {}


class RedisServer:
    """
    appendfsync: "always", "everysec" or "no". tcp: also listen on a port (`.port`) of 127.0.0.1, or of `host` (network.py). options:
    further settings by their names in redis.conf, e.g. {"maxmemory": "64mb"}. witness=False leaves the fsync
    witness out (benchmarks). tls: an Authority; the port speaks TLS only, with a certificate for TLS_NAME. acl: the text of an ACL file, to
    which the HARNESS is added. keeps_conf: a server that writes its own redis.conf (CONFIG REWRITE) finds it again.
    """

    def __init__(self, folder=None, appendfsync="always", tcp=False, options=None, witness=True,
                 name="redis", tls=None, acl=None, host=None, keeps_conf=False):
        self._own_folder = folder is None
        self.folder = folder or paths.scratch("redis")
        os.makedirs(self.folder, exist_ok=True)
        self.name, self.tls, self.acl, self.host, self.keeps_conf = name, tls, acl, host, keeps_conf
        self.appendfsync = appendfsync
        self.ip = host.ip if host else "127.0.0.1"
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
            name, [server_binary(self.folder), *self._arguments()],
            os.path.join(self.folder, "redis.log"), env=env, cwd=self.folder, host=host)

    def _arguments(self):
        return [os.path.join(self.folder, "redis.conf")]

    def _net_settings(self):
        """Where it listens, and how it speaks with other servers."""
        settings = {"port": self.port, "bind": self.ip, "protected-mode": "no", "unixsocket": self.socket, "unixsocketperm": 777}
        if self.tls:
            file = os.path.join(self.folder, "redis.pem")
            if not os.path.exists(file):
                self.tls.issue(TLS_NAME, file=file)
            settings.update({"port": 0, "tls-port": self.port, "tls-cert-file": file, "tls-key-file": file, "tls-ca-cert-file": self.tls.ca,
                             "tls-auth-clients": "no", "tls-replication": "yes"})
        return settings

    def _access_settings(self):
        if self.acl is None:
            return {}
        file = os.path.join(self.folder, "users.acl")
        default = "" if "user default " in self.acl else "user default off ~* &* +@all\n"
        with open(file, "w") as out:
            out.write(f"{self.acl.rstrip()}\n{default}user {HARNESS[0]} on >{HARNESS[1]} ~* &* +@all\n")
        return {"aclfile": file, "masteruser": HARNESS[0], "masterauth": HARNESS[1]}

    def _write_conf(self):
        conf = os.path.join(self.folder, "redis.conf")
        if self.keeps_conf and os.path.exists(conf):
            return
        settings = {
            **self._net_settings(), **self._access_settings(), "dir": self.folder, "daemonize": "no", "save": '""', "appendonly": "yes",
            "appendfsync": self.appendfsync,
            "no-appendfsync-on-rewrite": "no", "aof-load-truncated": "yes", "maxmemory-policy": "noeviction",
            "auto-aof-rewrite-min-size": "256mb", "enable-debug-command": "local", "latency-tracking": "no",
            **self.options}
        with open(conf, "w") as out:
            for key, value in settings.items():
                out.write(f"{key} {value}\n")

    @property
    def url(self):
        return f"{self.ip}:{self.port}" if self.tls or self.host else f"unix:{self.socket}"

    @property
    def address(self):
        """host:port of its TCP port."""
        return f"{self.ip}:{self.port}"

    def store_settings(self):
        """What store.* must be for it, but for users."""
        return {"address": self.url, **tls_settings(self.tls)}

    @property
    def servers(self):
        """Every redis-server of this store."""
        return [self]

    @property
    def pid(self):
        return self.process.pid

    def client(self, **more):
        """A new redis-py client over the unix socket (bytes in, bytes out unless decode_responses)."""
        if self.acl is not None:
            more = {"username": HARNESS[0], "password": HARNESS[1], **more}
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

    def _noted(self):
        """(name, inode) of an append-only file -> the length that the last successful fsync covered."""
        with open(self.table, "rb") as table:
            return {(name.rstrip(b"\0").decode(), inode): length
                    for name, inode, length, _ in _SLOT.iter_unpack(table.read()) if name[0]}

    def synced(self):
        """Append-only file name -> the length that the last successful fsync covered."""
        return {name: length for (name, _), length in self._noted().items()}

    def kill_and_cut(self):
        """
        A power failure: SIGKILL, then each append-only file cut to what was synced. Returns how many bytes
        were lost.
        """
        if not self.witness:
            raise RuntimeError("kill_and_cut needs the witness")
        self.process.kill()
        noted = self._noted()
        lost = 0
        for path in glob.glob(os.path.join(self.folder, "appendonlydir", "*.incr.aof")):
            length, inode = os.path.getsize(path), os.stat(path).st_ino
            # A replica syncs the file under a temporary name before it becomes one of the append-only file's.
            keep = min(length, max(noted.get((name, inode), 0) for name in (os.path.basename(path), _TEMPORARY)))
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
