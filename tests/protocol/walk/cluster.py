"""
The walk over a real Redis Cluster: slots of its partitions, and that of the common keys, move while everything else goes on; with replicas,
primaries lose what WAIT has not confirmed.
"""

import collections
import random

import redis as client
from harness import wait
from harness.slots import slot_of

from protocol import scripts
from protocol.calls import NODES, Call

from .ledger import PARTS
from .run import walk_in
from .world import UNKNOWN, Node, Sleep, Violation, World, read

SLOTS = {slot_of(part.never): part.tag for part in PARTS.values()}
COMMON = slot_of(NODES)
CONFIRM_MS, CUT_MS = 2000, 1  # how long WAIT waits: with a replica, and without any


class Paused(Exception):
    """Redis wants it tried again."""


class Peek:
    """What tests read, wherever it is just now."""

    def __init__(self, world):
        self.world = world

    def keys(self, pattern):
        found = [self.world.one(server, "KEYS", pattern) for server in self.world.primaries]
        return sorted({key for keys in found for key in keys})

    def __getattr__(self, command):
        return lambda *args: self.execute_command(command.upper(), *args)

    def execute_command(self, *command):
        return self.world.converse(slot_of(command[1]), [command])[0]


class Keys(Peek):
    """The same for those who know redis-py's ways."""

    def zrangebyscore(self, key, low, high, start=0, num=-1):
        return self.execute_command("ZRANGEBYSCORE", key, low, high, "LIMIT", start, num)

    def zadd(self, key, scores, xx=False):
        return self.execute_command("ZADD", key, *(["XX"] if xx else []), *(part for name, score in scores.items() for part in (score, name)))

    def hgetall(self, key):
        flat = self.execute_command("HGETALL", key)
        return dict(zip(flat[::2], flat[1::2]))


class Follower:
    """A small client that follows the Cluster."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.lines = {}  # server's name -> connection
        self.owner = {}  # slot -> the server that has it
        self.known = {}  # the same as clients believe it
        self.primaries = []
        self.half = set()  # slots whose keys may be on two servers
        self.cut = {}  # server's name -> what it did since its replicas hear no more of it: [done]

    def learn(self, slots):
        """Who has these slots; of what moved when the test before this one ended, who claimed it last. Nothing is stored yet."""
        self.primaries = self.cluster.owners()
        epochs = {server.name: node["epoch"] for server in self.primaries for node in self.cluster.nodes(server) if "myself" in node["flags"]}
        claims = [(server, set(self.cluster.slots_of(server))) for server in sorted(self.primaries, key=lambda one: -epochs[one.name])]
        for slot in slots:
            claimants = [server for server, own in claims if slot in own]
            for server in self.primaries:
                self.one(server, "CLUSTER", "SETSLOT", slot, "STABLE")
            owner = self.owner[slot] = claimants[0] if claimants else self.primaries[0]
            others = [server for server in self.primaries if server is not owner]
            if len(claimants) != 1:
                self.one(owner, "CLUSTER", "DELSLOTS", slot) if claimants else None
                self.one(owner, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.cluster.ids[others[0].name])
                for server in [owner, *others]:
                    self.one(server, "CLUSTER", "SETSLOT", slot, "NODE", self.cluster.ids[owner.name])
        self.known = dict(self.owner)

    def talk(self, server, commands):
        """Replies, errors among them."""
        line = self.lines.get(server.name)
        if line is None:
            line = self.lines[server.name] = client.UnixDomainSocketConnection(
                path=server.socket, decode_responses=True, parser_class=client.cluster.ClusterParser)
        line.send_packed_command(line.pack_commands(commands))
        replies = []
        for _ in commands:
            try:
                replies.append(line.read_response())
            except client.exceptions.ResponseError as error:
                replies.append(error)
        return replies

    def one(self, server, *command):
        reply = self.talk(server, [command])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def converse(self, slot, commands):
        """
        The replies to all of them, and in `.holders` how many replicas have what was done. Only what was refused is asked for elsewhere: a
        chunk that is where it was would have a second copy where it is going to be.
        """
        server = self.known[slot]
        if self.random.random() < 0.02:
            server = self.random.choice(self.cluster.servers)
        replies, left, asking = [None] * len(commands), list(range(len(commands))), False
        self.holders = 1
        for _ in range(30):
            sent = [commands[i] for i in left]
            heard = self.talk(server, [part for command in sent for part in ([("ASKING",), command] if asking else [command])])
            refused, left, asked = list(zip(left, heard[1::2] if asking else heard)), [], None
            for i, reply in refused:
                replies[i] = reply
                if isinstance(reply, client.exceptions.AskError):  # MOVED is one of these
                    asked = asked or reply
                    left.append(i)
                elif isinstance(reply, (client.exceptions.TryAgainError, client.exceptions.ClusterDownError)):
                    self.counts["try again"] += 1
                    raise Paused
                elif isinstance(reply, Exception):
                    self.fail(f"{commands[i][:1]} failed: {reply}")
            if len(left) < len(refused) and self.cluster.replicas:
                self.holders = min(self.holders, self.one(server, "WAIT", 1, CUT_MS if server.name in self.cut else CONFIRM_MS))
            if asked is None:
                self.served = server
                return replies
            self.counts[type(asked).__name__] += 1
            asking = not isinstance(asked, client.exceptions.MovedError)
            server = self.cluster.server(int(asked.port))
            if not asking:
                self.known[slot] = server
        raise Paused


class ClusterWorld(Follower, World):
    """
    plants: what a bug does to requests: "no never" and a script's name, or "unconfirmed": a reply counts without its WAIT.
    """

    def __init__(self, cluster, seed, sources=None, roughness=None, plants=()):
        Follower.__init__(self, cluster)
        self.plants = plants
        self.moving = {}  # slot -> (source, target)
        World.__init__(self, None, seed, sources or scripts.sources(), roughness)
        self.spawn(Node(), Sweeper(self).work())
        self.spawn(Node(), Migrator(self).work())
        if cluster.replicas:
            self.spawn(Node(), Failovers(self).work())

    def set_up(self, redis, sources):
        self.redis = Peek(self)
        loaded = scripts.assemble(sources, before=read("virtual_cluster.lua"))
        invariants = read("invariants.lua").replace('redis.call("ZSCORE", "ttl", b)', '(redis.call("PTTL", b) >= 0)')
        if self.cluster.replicas:  # a walk before this one may have ended anyhow
            for server in self.cluster.servers:
                self.cluster.let_go(server)
            self.cluster.wait_ready()
            for server in self.cluster.owners():
                self.wait_followed(server)
        for server in self.cluster.servers:
            self._hashes = {name: self.one(server, "SCRIPT", "LOAD", text) for name, text in loaded.items()}
            self._invariants = self.one(server, "SCRIPT", "LOAD", invariants)
        for server in self.cluster.owners():
            self.one(server, "FLUSHALL")
        self.learn({*SLOTS, COMMON})

    def is_followed(self, server):
        """Its replica has all that it has."""
        self.one(server, "PING")
        return self.one(server, "WAIT", 1, CONFIRM_MS) > 0

    def wait_followed(self, server):
        for _ in range(20):
            try:
                wait.until(lambda: self.is_followed(server), 3, f"{server.name} to be followed")
                return
            except wait.Deadline:
                # A replica whose PSYNC was still refused and whose SYNC was not copies, but never says what it has.
                self.one(server, "CLIENT", "KILL", "TYPE", "replica")
        self.fail(f"{server.name} is not followed")

    # ---- requests

    def deliver(self, request, then=lambda answer: None):
        try:
            answer = self.execute(request)
        except Paused:
            self.counts["paused"] += 1
            self.at(self.random.choice([3, 30, 300]), lambda: self.deliver(request, then))
            return
        if answer is UNKNOWN:
            self.at(self.random.uniform(100, 1000), lambda: then(answer))
        else:
            then(answer)

    def encoded(self, request):
        clock = int(self.now + self.clock_offset)
        for command in request.commands:
            if isinstance(command, Call):
                keys = command.keys
                if {"no never", "no never " + command.script} & set(self.plants):
                    keys = [keys[0] if key.startswith("never") else key for key in keys]
                for key, piece in command.chunks.items():
                    yield ("SET", key, piece, "PXAT", clock + 600000, "NX")
                yield ("EVALSHA", self._hashes[command.script], len(keys), *keys, *command.args, clock)
            else:
                yield command

    def execute(self, request):
        commands = list(self.encoded(request))
        place = len(commands) - 1
        slot = slot_of(commands[-1][3] if commands[-1][0] == "EVALSHA" else commands[-1][1])
        replies, holders = self.converse(slot, commands), self.holders
        self.steps += place + 1
        answer = replies[place]
        if commands[place][0] == "HGETALL":
            answer = dict(zip(answer[::2], answer[1::2]))
        self.note(request, answer)
        self.confirm(request, answer, holders)
        if slot not in self.moving:
            for tag in self.partitions_of(request):
                self.check(tag)
        if slot in self.half and slot in SLOTS and commands[place][0] == "EVALSHA":
            self.fail(f"{request.name} ran while its partition was half moved")
        return answer if holders or "unconfirmed" in self.plants else UNKNOWN

    def confirm(self, request, answer, holders):
        """What only a primary has may be undone: then it never happened."""
        done = (lambda: request.done(answer)) if request.done else (lambda: None)
        pending = self.cut.get(self.served.name)
        if (holders > 0) != (pending is None):
            self.fail(f"{request.name} at {self.served.name} is held by {holders} replicas")
        if pending is None or "unconfirmed" in self.plants:
            done()
        else:
            self.counts["unconfirmed"] += 1
            pending.append(done)

    def check(self, tag):
        part = PARTS[tag]
        for sentence in self.converse(slot_of(part.never), [("EVALSHA", self._invariants, 1, part.never, tag)])[0]:
            self.fail(f"{sentence} (in partition {tag}, slot {slot_of(part.never)})")


class Sweeper:
    """Removes what is past its time limit."""

    def __init__(self, world):
        self.world = world

    def work(self):
        while True:
            yield Sleep(5000)
            for server in self.world.primaries:
                keys = self.world.one(server, "KEYS", "*")
                ends = self.world.talk(server, [("PEXPIRETIME", key) for key in keys])
                over = [key for key, at in zip(keys, ends) if isinstance(at, int) and 0 < at <= self.world.now]
                self.world.talk(server, [("DEL", key) for key in over])


class Migrator:
    """Moves one slot after the other, in small steps, as a resharder does; now and then it stops half way for long."""

    def __init__(self, world):
        self.world, self.random = world, world.random

    def work(self):
        world, random = self.world, self.random
        while world.has_faults:
            yield Sleep(random.uniform(10, 500))
            slot = random.choice([*SLOTS, *SLOTS, COMMON])
            source = world.owner[slot]
            target = random.choice([server for server in world.primaries if server is not source])
            if source.name in world.cut or target.name in world.cut:
                continue
            world.moving[slot] = (source, target)
            yield from self.move(slot, source, target)
            del world.moving[slot]
            world.owner[slot] = target
            world.counts["slots moved"] += 1
            if slot in SLOTS:
                world.check(SLOTS[slot])

    def move(self, slot, source, target):
        world, random, ids = self.world, self.random, self.world.cluster.ids
        world.one(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.name])
        yield self.rest()
        world.one(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.name])
        world.half.add(slot)
        while True:
            yield self.rest()
            keys = world.one(source, "CLUSTER", "GETKEYSINSLOT", slot, random.choice([1, 3, 10, 100]))
            if not keys:
                break
            random.shuffle(keys)
            # Without REPLACE: nothing may be on both.
            try:
                world.one(source, "MIGRATE", target.ip, target.port, "", 0, 5000, "KEYS", *keys)
            except client.exceptions.ResponseError as error:
                world.fail(f"keys of slot {slot} cannot move: {error}")
            world.counts["keys moved"] += len(keys)
        told, left = [], [target, source]
        while left:
            world.one(left[0], "CLUSTER", "SETSLOT", slot, "NODE", ids[target.name])
            world.half.discard(slot)
            told.append(left.pop(0))
            yield self.rest()
            left = left or [server for server in world.primaries if server not in told]  # a failover may have made another one
        wait.until(lambda: self.is_known(slot, target), 30, f"all to know that slot {slot} is at {target.name}")

    def is_known(self, slot, target):
        """To all, and as the newest: who moves it on before that may have an older claim win."""
        views, epochs = set(), set()
        for server in self.world.primaries:
            epochs.add(next(line for line in self.world.one(server, "CLUSTER", "INFO").split() if line.startswith("cluster_current_epoch")))
            views |= {int(node[1]) for first, last, node, *_ in self.world.one(server, "CLUSTER", "SLOTS") if first <= slot <= last}
        return views == {target.port} and len(epochs) == 1

    def rest(self):
        if not self.world.has_faults:
            return Sleep(1)
        return Sleep(self.random.choice([0.1, 1, 5, 20, 20, 100, 400]) if self.random.random() < 0.995 else 15000)


class Failovers:
    """A primary whose replica hears nothing of it any more goes on alone for a while; then its replica takes over, or hears again."""

    def __init__(self, world):
        self.world, self.random = world, world.random

    def work(self):
        world, random = self.world, self.random
        while world.has_faults:
            yield Sleep(random.uniform(5000, 20000))
            primary = random.choice(sorted(set(world.owner.values()), key=lambda server: server.name))
            while any(primary in pair for pair in world.moving.values()):
                yield Sleep(10)
            if primary not in world.owner.values():
                continue
            world.wait_followed(primary)  # what moved there too
            world.cluster.hold_back(primary)
            world.cut[primary.name] = []
            yield Sleep(random.uniform(10, 4000))
            if random.random() < 0.75:
                self.take_over(primary)
            else:
                self.heal(primary)

    def take_over(self, primary):
        """Nothing happens meanwhile: the walk stands still."""
        world, cluster = self.world, self.world.cluster
        replica = wait.until(lambda: cluster.replicas_of(primary), 60, f"{primary.name} to know of its replica")[0]
        slots = [slot for slot, server in world.owner.items() if server is primary]
        world.one(replica, "CLUSTER", "FAILOVER", "TAKEOVER")
        cluster.wait_failover(primary, slots[0])
        cluster.let_go(primary)
        world.wait_followed(replica)
        world.owner.update((slot, replica) for slot in slots)
        world.primaries[world.primaries.index(primary)] = replica
        world.counts["undone"] += len(world.cut.pop(primary.name))
        world.counts["failovers"] += 1
        for slot in slots:
            if slot in SLOTS:
                world.check(SLOTS[slot])

    def heal(self, primary):
        world = self.world
        world.cluster.let_go(primary)
        world.wait_followed(primary)
        for done in world.cut.pop(primary.name):
            done()
        world.counts["held again"] += 1


class MovingStore(Follower):
    """What tests of scripts have for a Store: the slots of these keys move in small steps between any two calls."""

    has_faults = True

    def __init__(self, cluster, seed, keys):
        super().__init__(cluster)
        self.random, self.counts = random.Random(seed), collections.Counter()
        self.redis = Keys(self)
        for server in cluster.servers:
            self._hashes = {name: self.one(server, "SCRIPT", "LOAD", text) for name, text in scripts.assemble(scripts.sources()).items()}
        for server in cluster.owners():
            self.one(server, "FLUSHALL")
        self.slots = sorted({slot_of(key) for key in keys})
        self.learn(self.slots)
        self.moves, self.is_still = self.move(), True

    def finish(self):
        """Until no slot moves."""
        while not self.is_still:
            next(self.moves)

    def move(self):
        while True:
            self.is_still = True
            yield
            self.is_still = False
            slot = self.random.choice(self.slots)
            source = self.owner[slot]
            target = self.random.choice([server for server in self.primaries if server is not source])
            yield from Migrator(self).move(slot, source, target)
            self.owner[slot] = target
            self.counts["slots moved"] += 1

    def run(self, call):
        commands = [("SET", key, piece, "EX", 600, "NX") for key, piece in call.chunks.items()]
        commands.append(("EVALSHA", self._hashes[call.script], len(call.keys), *call.keys, *call.args))
        for _ in range(self.random.choice([0, 1, 1, 2])):
            next(self.moves)
        while True:
            try:
                return self.converse(slot_of(call.keys[0]), commands)[-1]
            except Paused:
                next(self.moves)

    def now_ms(self):
        seconds, micros = self.one(self.cluster.servers[0], "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def fail(self, what):
        raise Violation(what)


def walk(cluster, seed, steps, sources=None, roughness=None, plants=()):
    """A walk as run.walk is, over a Cluster."""
    return walk_in(ClusterWorld(cluster, seed, sources, roughness, plants), steps)
