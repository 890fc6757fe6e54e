"""
Redis servers that stand for one another, as people run them: a primary with replicas and three Sentinels; a Redis Cluster. Both find a failed
primary within about two seconds.
"""

import os
import random
import shutil
import signal
import time

import redis as client

from . import paths, ports, wait

from .redis import HARNESS, RedisServer, server_binary, tls_settings
from .slots import COMMON_SLOT, SLOTS, partition_slot

DOWN_AFTER_MS = 2000
# Replicas begin to copy at once, and a short absence costs no full copy.
_OPTIONS = {"repl-diskless-sync-delay": 0, "repl-backlog-size": "64mb", "repl-ping-replica-period": 1, "repl-timeout": 10}


def is_replica_of(info, number_of_replicas):
    """Whether INFO replication is that of a primary with so many replicas that are up to date with its stream."""
    online = [info[f"slave{n}"] for n in range(info.get("connected_slaves", 0)) if f"slave{n}" in info]
    return info["role"] == "master" and sum(1 for one in online if one["state"] == "online") >= number_of_replicas


class Servers:
    """What is common to several servers that are one store: their life, and what a test does to one of them."""

    def __init__(self, prefix, replicas, tls, acl):
        self._folder = paths.scratch(prefix)
        self.replicas, self.tls, self.acl = replicas, tls, acl
        self.servers = []
        self._frozen = set()

    def _new_server(self, name, options, host, **more):
        return RedisServer(os.path.join(self._folder, name), tcp=True, options={**_OPTIONS, **options}, name=name, tls=self.tls, acl=self.acl,
                           host=host, keeps_conf=True, **more)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self):
        for server in self.servers:
            server.process.kill()

    def server(self, which):
        """A server, by itself, by its name or by its port."""
        if isinstance(which, RedisServer):
            return which
        return next(server for server in self.servers if which in (server.name, server.port))

    @property
    def cuts(self):
        return [lost for server in self.servers for lost in server.cuts]

    # -- faults: each names the server it was done to

    def kill(self, which):
        """SIGKILL: what it wrote is there when it starts again."""
        server = self.server(which)
        server.kill()
        self._frozen.discard(server)

    def kill_and_cut(self, which):
        """A power failure. Returns how many octets of its append-only file were lost."""
        return self.server(which).kill_and_cut()

    def freeze(self, which):
        server = self.server(which)
        server.freeze()
        self._frozen.add(server)

    def thaw(self, which):
        server = self.server(which)
        server.thaw()
        self._frozen.discard(server)

    def awake(self):
        """The servers that can be asked."""
        return [server for server in self.servers if server not in self._frozen and server.process.alive()]

    def restart(self, which, timeout=60):
        """Starts it again, as what it believes to be; the others tell it what it is now."""
        self.server(which).start(timeout)

    def hold_back(self, which, only=None):
        """
        From now on the replicas of this primary (only: this one), which have all that was written until the call, hear no more of it, and copy no
        more; everybody else still hears all of them. One of them is promoted with what it has. Until the primary starts again, or let_go().
        """
        self._let_copy(which, "-")
        with self.server(which).client(decode_responses=True) as redis:
            written = redis.info("replication")["master_repl_offset"]

            def is_heard():
                redis.execute_command("WAIT", redis.info("replication")["connected_slaves"], 1000)
                info = redis.info("replication")
                return all(info[f"slave{n}"]["offset"] >= written for n in range(info["connected_slaves"]))
            wait.until(is_heard, 20, f"the replicas of {which} to hear of all")
            for link in redis.client_list(_type="replica"):
                if only is None or link["addr"].rpartition(":")[0] == only.ip:
                    redis.client_kill_filter(_id=link["id"])

    def let_go(self, which):
        self._let_copy(which, "+")

    def _let_copy(self, which, sign):
        with self.server(which).client(decode_responses=True) as redis:
            redis.execute_command("ACL SETUSER", HARNESS[0] if self.acl is not None else "default", f"{sign}psync", f"{sign}sync")

    def store_settings(self):
        """What store.* must be for it, but for users and the number of replicas that must hold a write."""
        return {**self._addresses(), **tls_settings(self.tls)}


class RedisWithSentinels(Servers):
    """
    A primary, `replicas` of it, and `sentinels` Sentinels (two of three agree). `.primary` is the server that the Sentinels name now.
    hosts: of network.py, one for each server, then for each Sentinel; less are used in turn. sentinel_users: lines of each Sentinel's ACL.
    """

    MASTER = "barid"

    def __init__(self, replicas=2, sentinels=3, appendfsync="always", options=None, tls=None, acl=None, hosts=None, witness=True,
                 down_after_ms=DOWN_AFTER_MS, sentinel_users=()):
        super().__init__("sentinel", replicas, tls, acl)
        self.down_after_ms, self.quorum, self.sentinel_users = down_after_ms, sentinels // 2 + 1, sentinel_users
        places = list(hosts or [None])
        self.servers = [self._new_server(f"redis{n + 1}", options or {}, places[n % len(places)], appendfsync=appendfsync, witness=witness)
                        for n in range(replicas + 1)]
        first = self.servers[0]
        for server in self.servers[1:]:
            server.options["replicaof"] = f"{first.ip} {first.port}"
        self.sentinels = [_Sentinel(self, n + 1, places[(replicas + 1 + n) % len(places)]) for n in range(sentinels)]

    def _addresses(self):
        return {"kind": "sentinel", "address": [sentinel.address for sentinel in self.sentinels], "master": self.MASTER}

    def start(self, timeout=60):
        for server in self.servers:
            server.start()
        wait.until(lambda: self._has_all(self.servers[0]), timeout, "replicas that follow their primary")
        for sentinel in self.sentinels:
            sentinel.start(self.servers[0])
        self.wait_ready(timeout)
        return self

    def stop(self):
        for sentinel in self.sentinels:
            sentinel.process.kill()
        super().stop()

    def _has_all(self, server):
        try:
            with server.client(decode_responses=True, socket_timeout=2) as redis:
                return is_replica_of(redis.info("replication"), self.replicas)
        except client.exceptions.RedisError:
            return False

    @property
    def primary(self):
        """The one that most Sentinels name; None while they differ."""
        named = [port for port in (sentinel.primary_port() for sentinel in self.sentinels) if port]
        most = max(named, key=named.count, default=None)
        return self.server(most) if most and named.count(most) >= self.quorum else None

    def restart(self, which, timeout=60, is_careful=True):
        """
        Starts it again; is_careful: as a replica of who is the primary now. Else it comes back as what it was, perhaps as a primary that nobody
        follows, until the Sentinels tell it otherwise, which takes them 10 to 20 seconds.
        """
        server, primary = self.server(which), self.primary
        if is_careful and primary and primary is not server:
            with open(os.path.join(server.folder, "redis.conf"), "a") as conf:
                conf.write(f"replicaof {primary.ip} {primary.port}\n")
        super().restart(server, timeout)

    def client(self, **more):
        """A client of the primary."""
        return self.primary.client(**more)

    def replicas_of(self, which=None):
        """The servers that are not the primary; which: it, as who is primary may be unknown."""
        primary = self.server(which) if which else self.primary
        return [server for server in self.servers if server is not primary]

    def wait_failover(self, old, timeout=30):
        """Waits until the Sentinels name another than `old`, which knows that it is the primary; returns it."""
        def promoted():
            new = self.primary
            return new if new and new is not old and _role(new) == "master" else None
        return wait.until(promoted, timeout, lambda: f"a primary instead of {old.name}; the Sentinels name "
                          f"{[sentinel.primary_port() for sentinel in self.sentinels]}")

    def join(self, server):
        """Makes a server that came back a replica of who is the primary now, as the Sentinels would in 10 to 20 seconds."""
        primary = self.primary
        if primary is not server:
            with server.client() as redis:
                redis.execute_command("REPLICAOF", primary.ip, primary.port)

    def wait_ready(self, timeout=60):
        """Waits until the primary has all its replicas, and every Sentinel that runs knows of all of them."""
        def is_ready():
            primary = self.primary
            return primary and _role(primary) == "master" and self._has_all(primary) and all(
                sentinel.knows_all() for sentinel in self.sentinels if sentinel.process.alive())
        wait.until(is_ready, timeout, lambda: f"primary, replicas and Sentinels to be one; {[(s.name, _role(s)) for s in self.servers]}")


def _role(server):
    """"master", "slave", or None without an answer."""
    try:
        with server.client(decode_responses=True, socket_timeout=2) as redis:
            return redis.info("replication")["role"]
    except client.exceptions.RedisError:
        return None


class _Sentinel:
    """One Sentinel. Its file is its memory, as with an operator's."""

    def __init__(self, owner, number, host):
        self.owner, self.name, self.host = owner, f"sentinel{number}", host
        self.server = RedisServer(os.path.join(owner._folder, self.name), tcp=True, witness=False, name=self.name, tls=owner.tls, host=host)
        self.address, self.folder, self.process = self.server.address, self.server.folder, self.server.process
        self.conf = os.path.join(self.folder, "sentinel.conf")
        self.process.argv = [server_binary(self.folder), self.conf, "--sentinel"]

    def start(self, primary=None, timeout=20):
        if not os.path.exists(self.conf):
            self._write_conf(primary)
        self.process.start()
        self.process.wait_until(self._is_up, timeout, "PONG from a Sentinel")

    def _write_conf(self, primary):
        owner, master = self.owner, self.owner.MASTER
        lines = [f"{key} {value}" for key, value in self.server._net_settings().items()]
        lines += [f"dir {self.folder}", f"sentinel monitor {master} {primary.ip} {primary.port} {owner.quorum}",
                  f"sentinel down-after-milliseconds {master} {owner.down_after_ms}", f"sentinel failover-timeout {master} 4000",
                  f"sentinel parallel-syncs {master} 2", *owner.sentinel_users]
        if owner.acl is not None:
            lines += [f"sentinel auth-user {master} {HARNESS[0]}", f"sentinel auth-pass {master} {HARNESS[1]}"]
        with open(self.conf, "w") as out:
            out.write("\n".join(lines) + "\n")

    def ask(self, *words):
        """A command's answer, with lists for maps; None without one."""
        try:
            with client.Redis(unix_socket_path=self.server.socket, decode_responses=True, socket_timeout=2) as redis:
                redis.response_callbacks = {}
                return redis.execute_command(*words)
        except client.exceptions.RedisError:
            return None

    def _is_up(self):
        return self.ask("PING") == "PONG"

    def primary_port(self):
        named = self.ask("SENTINEL GET-MASTER-ADDR-BY-NAME", self.owner.MASTER)
        return int(named[1]) if named else None

    def knows_all(self):
        """Of the other Sentinels that run, and of replicas that could be promoted."""
        others = self.ask("SENTINEL SENTINELS", self.owner.MASTER) or []
        replicas = self.ask("SENTINEL REPLICAS", self.owner.MASTER) or []
        awake = sum(1 for sentinel in self.owner.sentinels if sentinel.process.alive()) - 1
        able = [fields for fields in map(_fields, replicas) if fields["flags"] == "slave"]
        return (sum(1 for one in map(_fields, others) if one["flags"] == "sentinel") >= awake and len(able) >= self.owner.replicas)

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)


def _fields(flat):
    return dict(zip(flat[::2], flat[1::2]))


class RedisCluster(Servers):
    """
    `primaries` with `replicas` of each, all slots spread evenly. Servers are redis1 ... : the primaries first, then the replicas, of which
    a primary's come together. A partition whose primary is away does not stop the others (cluster-require-full-coverage no).
    """

    def __init__(self, primaries=3, replicas=1, appendfsync="always", options=None, tls=None, acl=None, hosts=None, witness=True,
                 node_timeout_ms=DOWN_AFTER_MS):
        super().__init__("cluster", replicas, tls, acl)
        self.primaries = primaries
        settings = {"cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": node_timeout_ms,
                    "cluster-require-full-coverage": "no", "cluster-allow-replica-migration": "no", "cluster-migration-barrier": 1,
                    **({"tls-cluster": "yes"} if tls else {}), **(options or {})}
        places = list(hosts or [None])
        for number in range(primaries * (replicas + 1)):
            port = {"cluster-port": ports.free_port()}
            self.servers.append(self._new_server(f"redis{number + 1}", {**settings, **port}, places[number % len(places)], appendfsync=appendfsync,
                                                 witness=witness))
        self.ids = {}  # name -> what the Cluster calls it

    def _addresses(self):
        return {"kind": "cluster", "address": [server.address for server in self.servers]}

    # -- life

    def start(self, timeout=60):
        for server in self.servers:
            server.start()
            self.ids[server.name] = self.ask(server, "CLUSTER MYID")
        self._share_out()
        first = self.servers[0]
        for number, server in enumerate(self.servers):
            self.ask(server, "CLUSTER SET-CONFIG-EPOCH", number + 1)
            if server is not first:
                self.ask(server, "CLUSTER MEET", first.ip, first.port, first.options["cluster-port"])
        wait.until(lambda: all(len(self.nodes(server)) == len(self.servers) for server in self.servers), timeout, "servers to meet")
        for number, replica in enumerate(self.servers[self.primaries:]):
            self._make_replica(replica, self.servers[number // self.replicas], timeout)
        self.wait_ready(timeout)
        return self

    def _share_out(self):
        for number, server in enumerate(self.servers[:self.primaries]):
            first, end = (SLOTS * place // self.primaries for place in (number, number + 1))
            self.ask(server, "CLUSTER ADDSLOTSRANGE", first, end - 1)

    def _make_replica(self, replica, primary, timeout):
        """It must have heard of its primary's slots first."""
        wait.until(lambda: self.ids[primary.name] in [node["id"] for node in self.nodes(replica) if node["slots"]], timeout,
                   f"{replica.name} to know of {primary.name}")
        self.ask(replica, "CLUSTER REPLICATE", self.ids[primary.name])

    def add(self, timeout=60):
        """One more primary, without slots and replicas; move_slots() gives it the former."""
        model = self.servers[0]
        server = self._new_server(f"redis{len(self.servers) + 1}", {**model.options, "cluster-port": ports.free_port()}, None,
                                  appendfsync=model.appendfsync, witness=model.witness)
        self.servers.append(server.start())
        self.ids[server.name] = self.ask(server, "CLUSTER MYID")
        self.ask(server, "CLUSTER MEET", model.ip, model.port, model.options["cluster-port"])
        wait.until(lambda: all(len(self.nodes(one)) == len(self.servers) for one in self.awake()), timeout, "a new one")
        wait.until(lambda: self._info(server).get("cluster_state") == "ok", timeout, "the new one to take part")
        return server

    def wait_ready(self, timeout=60):
        """Waits until every server that runs says that all is well, and every primary that runs has all of its replicas."""
        def problem():
            running = self.awake()
            for server in running:
                said = self._info(server)
                if said.get("cluster_state") != "ok" or int(said["cluster_slots_ok"]) != SLOTS:
                    return f"{server.name}: {said}"
            owners = [owner for owner in self._owners() if owner]
            if len(owners) < self.primaries:
                return f"primaries: {[owner.name for owner in owners]}"
            wanted = self.replicas if len(running) == len(self.servers) else 0
            missing = [owner.name for owner in owners if len(self.replicas_of(owner)) < wanted or not self._has_replicas(owner, wanted)]
            return f"replicas of {missing}" if missing else None
        wait.until(lambda: not problem(), timeout, lambda: f"the Cluster to be well: {problem()}")

    @staticmethod
    def _has_replicas(server, wanted):
        try:
            with server.client(decode_responses=True, socket_timeout=2) as redis:
                return is_replica_of(redis.info("replication"), wanted)
        except client.exceptions.RedisError:
            return False

    # -- what it is now

    def ask(self, which, *words, raw=False):
        """A command's answer by one server, as it came."""
        with self.server(which).client(decode_responses=not raw, socket_timeout=10) as redis:
            redis.response_callbacks = {}
            return redis.execute_command(*words)

    def _info(self, server):
        try:
            return dict(line.split(":") for line in self.ask(server, "CLUSTER INFO").split())
        except client.exceptions.RedisError:
            return {}

    def nodes(self, which):
        """All servers as one of them sees them: [{"id", "port", "flags", "primary", "link", "slots"}]; [] without an answer."""
        try:
            text = self.ask(which, "CLUSTER NODES")
        except client.exceptions.RedisError:
            return []
        found = []
        for line in text.splitlines():
            words = line.split()
            found.append({"id": words[0], "port": int(words[1].partition("@")[0].rpartition(":")[2]), "flags": words[2].split(","),
                          "primary": words[3], "epoch": int(words[6]), "link": words[7], "slots": [word for word in words[8:] if word[0] != "["]})
        return found

    def _named(self, identity):
        return next((server for server in self.servers if self.ids.get(server.name) == identity), None)

    def _view(self):
        """What the servers that answer believe of themselves: [(server, node, ...)]; the highest epoch is right where two disagree."""
        found = []
        for server in self.awake():
            found += [(server, node) for node in self.nodes(server) if "myself" in node["flags"]]
        return found

    def owner_of_slot(self, slot):
        """The server that is primary of a slot, as the one with the highest epoch among those says; None when no such server answers."""
        best = None
        for server, node in self._view():
            if "master" in node["flags"] and any(_has(span, slot) for span in node["slots"]):
                if best is None or node["epoch"] > best[1]["epoch"]:
                    best = (server, node)
        return best[0] if best else None

    def owner(self, partition=None):
        """The primary of a partition's slot, or of the common keys'."""
        return self.owner_of_slot(COMMON_SLOT if partition is None else partition_slot(partition))

    def _owners(self):
        """Every server that is a primary with slots."""
        return [server for server, node in self._view() if "master" in node["flags"] and node["slots"]]

    def owners(self):
        return self._owners()

    def slots_of(self, which):
        """The slots a server has, by itself."""
        server = self.server(which)
        node = next(node for node in self.nodes(server) if "myself" in node["flags"])
        return [slot for span in node["slots"] for slot in _slots(span)]

    def replicas_of(self, which):
        identity = self.ids[self.server(which).name]
        return [self._named(node["id"]) for node in self.nodes(which) if node["primary"] == identity]

    @property
    def primary(self):
        """The primary of the common keys."""
        return self.owner()

    def client(self, **more):
        """A client that follows the Cluster, over its ports."""
        return _cluster_client(self, more)

    def wait_failover(self, old, slot=COMMON_SLOT, timeout=30):
        """Waits until another server than `old` has this slot, and all who run know; returns it."""
        def promoted():
            new = self.owner_of_slot(slot)
            if not new or new is old:
                return None
            known = [any(node["id"] == self.ids[new.name] and any(_has(span, slot) for span in node["slots"]) for node in self.nodes(server))
                     for server in self.awake() if server is not old]
            return new if all(known) else None
        return wait.until(promoted, timeout, f"a primary instead of {old.name}")

    # -- slots that move

    def move_slots(self, what, source, target, rng=None, is_over=None):
        """
        Moves slots as a resharder does while clients work: what: how many of the source's, drawn by rng, or which. Keys go in pieces of random
        size. is_over(): asked between slots. Returns [Moved].
        """
        rng = rng or random.Random(0)
        source, target = self.server(source), self.server(target)
        slots = rng.sample(self.slots_of(source), what) if isinstance(what, int) else list(what)
        done = []
        for slot in slots:
            if is_over and is_over():
                break
            done.append(self._move_slot(slot, source, target, rng))
        return done

    def _wait_agreed(self, timeout=60):
        """As redis-cli wants it before it moves a slot: all primaries tell the same of all, or one that has not heard of the last move could undo it."""
        def views():
            return {tuple(sorted((node["id"], node["epoch"], *node["slots"]) for node in self.nodes(server) if node["slots"])) for server in self._owners()}
        wait.until(lambda: len(views()) == 1, timeout, lambda: f"agreement about slots: {views()}", pause=0.02)

    def _move_slot(self, slot, source, target, rng):
        self._wait_agreed()
        moved = Moved(slot, source.name, target.name)
        self.ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", self.ids[source.name])
        self.ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", self.ids[target.name])
        while True:
            keys = self.ask(source, "CLUSTER GETKEYSINSLOT", slot, rng.choice([1, 5, 50, 400]), raw=True)
            if not keys:
                break
            rng.shuffle(keys)
            self.ask(source, "MIGRATE", target.ip, target.port, "", 0, 5000,
                     *(("AUTH2", *HARNESS) if self.acl is not None else ()), "KEYS", *keys)
            moved.keys += len(keys)
            moved.pieces += 1
        others = [server for server in self._owners() if server not in (source, target)]
        for server in [target, source, *others]:
            self.ask(server, "CLUSTER SETSLOT", slot, "NODE", self.ids[target.name])
        return moved.end()


class Moved:
    """One slot's move. began_at, ended_at: monotonic; between them its keys were on two servers."""

    def __init__(self, slot, source, target):
        self.slot, self.source, self.target, self.keys, self.pieces = slot, source, target, 0, 0
        self.began_at, self.ended_at = time.monotonic(), None

    def end(self):
        self.ended_at = time.monotonic()
        return self

    @property
    def seconds(self):
        return self.ended_at - self.began_at

    def __str__(self):
        return f"slot {self.slot} {self.source} -> {self.target}: {self.keys} keys in {self.pieces} pieces, {self.seconds * 1000:.0f} ms"


def _slots(span):
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1)


def _has(span, slot):
    return slot in _slots(span)


def _cluster_client(owner, more):
    access = {"username": HARNESS[0], "password": HARNESS[1]} if owner.acl is not None else {}
    secure = {"ssl": True, "ssl_ca_certs": owner.tls.ca, "ssl_check_hostname": False} if owner.tls else {}
    start = [client.cluster.ClusterNode(server.ip, server.port) for server in owner.awake()]
    return client.cluster.RedisCluster(startup_nodes=start, **access, **secure, **more)
