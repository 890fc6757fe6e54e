"""What is done to a cluster: each fault from its beginning until what it hurt is ready again."""

import time

from harness import wait
from harness.slots import COMMON_SLOT

READY_S = 60
STORE_READY_S = 120
_DAY_S = 86400


class Done:
    """A fault as it happened. began, over: monotonic; over is None until what was hurt is ready again. back: when the store served again."""

    def __init__(self, number, hurt, name, is_alone):
        self.number, self.hurt, self.name, self.is_alone = number, hurt, name, is_alone
        self.began, self.over, self.back = time.monotonic(), None, None

    def is_near(self, begin, end):
        return self.began <= end and (self.over is None or self.over >= begin)

    @property
    def kind(self):
        return f"{self.hurt.what} {self.hurt.target}"


class Hands:
    """
    settle_s: how long after an outage of Redis a verdict may still be unsettled. on_hurt(done, node) is called right after a kill or stop.
    next_build: the programs that "upgrade" changes to.
    """

    def __init__(self, world, settle_s, on_hurt, rng, next_build=None):
        self.world, self.cluster, self.network = world, world.cluster, world.network
        self.settle_s, self.on_hurt, self.rng, self.next_build = settle_s, on_hurt, rng, next_build

    def carry_out(self, done):
        """Returns when the fault is over; raises when the cluster does not get over it."""
        what, target = done.hurt.what.replace(" ", "_"), done.hurt.target
        if target in ("redis", "primary", "replica", "sentinel", "slots", "keys"):
            getattr(self, f"_{what}_{target}")(done)
        else:
            getattr(self, f"_{what}")(done, self.cluster.node(done.name))

    @staticmethod
    def _last(done, since=None):
        end = (since or done.began) + done.hurt.seconds
        wait.until(lambda: time.monotonic() >= end, done.hurt.seconds + 60, "the end of a fault")

    # -- to nodes

    def _kill(self, done, node):
        self.cluster.kill(node)
        self.on_hurt(done, node)
        self._last(done)
        self.cluster.restart(node)
        node.wait_ready(READY_S)

    def _stop(self, done, node):
        node, fault = self.cluster.freeze(node)
        self.on_hurt(done, node)
        self._last(done)
        self.cluster.thaw(node, fault)
        node.wait_ready(READY_S)

    def _end(self, node):
        """As an operator ends it. What cannot be settled because Redis is away may be sent again."""
        began = time.monotonic()
        ended = self.cluster.faults.note(node.role, node.name, node.pid, "end", lasting=True)
        code = node.process.terminate(READY_S)
        ended.end()
        if not any(self._is_in_the_way(fault, node, began - self.settle_s, ended.ended_at) for fault in list(self.cluster.faults)):
            self.cluster.faults.remove(ended)
        if code != 0 and not self._hurt_store(began, ended.ended_at):
            raise AssertionError(f"it ended by SIGTERM with {code}\n{node.process.log_tail(15)}")

    @staticmethod
    def _is_in_the_way(fault, node, begin, end):
        return (fault.role == "redis" or (fault.name == node.name and fault.kind == "part")) and fault.overlaps(begin, end)

    def _hurt_store(self, begin, end):
        """With a store that does not answer it cannot settle, and ends late, with another code."""
        return any(fault.role == "redis" and fault.overlaps(begin, end) for fault in list(self.cluster.faults))

    def _begin_anew(self, node):
        self.cluster.restart(node)
        node.wait_ready(READY_S)

    def _leave(self, done, node):
        self._end(node)
        self._last(done)
        self._begin_anew(node)

    def _order(self, *words):
        """As an operator would: who is told "ask again" because a primary was lost meanwhile asks again. The order is the same the second time."""
        def is_done():
            try:
                self.cluster.baridctl(*words, timeout=READY_S)
            except AssertionError as error:
                if "ask again" not in str(error):
                    raise
                return False
            return True
        wait.until(is_done, READY_S, f"baridctl {' '.join(words)}")

    def _drain(self, done, node):
        self._order("node", "drain", f"{node.name}.relay.test", "--yes")
        self._last(done)
        self._order("node", "undrain", f"{node.name}.relay.test")
        node.wait_ready(READY_S)

    def _upgrade(self, done, node):
        """To the next version for a while, and back."""
        now = node.process.argv[0]
        for program in (now.replace(self.cluster.build, self.next_build), now):
            self._end(node)
            node.process.argv[0] = program
            self._begin_anew(node)
            self._last(done)

    def _lose_frames(self, done, node, fault_points="bus_send:lose:20"):
        self._end(node)
        node.process.env["BARID_FAULT"] = fault_points
        self._begin_anew(node)
        self._last(done, since=time.monotonic())
        self._end(node)
        del node.process.env["BARID_FAULT"]
        self._begin_anew(node)

    def _delay_frames(self, done, node):
        self._lose_frames(done, node, "bus_send:delay:50")

    def _jump_clock(self, done, node):
        self.world.jump_clock(node.name, self.rng.choice([-_DAY_S, _DAY_S, 400 * _DAY_S]))
        self._last(done)
        self.world.jump_clock(node.name, 0)
        node.wait_ready(READY_S)

    # -- to the network between two

    def _partners(self, word, name):
        """The hosts that a word of the plan stands for."""
        if word == name.rstrip("0123456789"):
            return [name]
        if word == "redis":
            return self.world.servers
        if word in ("world", "clients"):
            return [word]
        return [self.rng.choice([node.name for node in self.cluster.of(word)])]

    def _part(self, done, node, is_one_way=False):
        sources, targets = (self._partners(word, node.name) for word in done.hurt.target.split())
        fault = self.cluster.faults.note(node.role, node.name, node.pid, "part", lasting=True)
        for source in sources:
            for target in targets:
                self.network.cut(source, target, one_way=is_one_way)
        self._last(done)
        for source in sources:
            for target in targets:
                self.network.mend(source, target)
        fault.end()
        node.wait_ready(READY_S)

    def _hush(self, done, node):
        self._part(done, node, is_one_way=True)

    # -- to Redis alone

    def _cut_redis(self, done):
        fault = self._note_store(done, self.world.redis, "cut")
        self.world.redis.kill_and_cut()
        self._last(done)
        self.world.redis.start(READY_S)
        fault.end()
        done.back = time.monotonic()

    def _stop_redis(self, done):
        fault = self._note_store(done, self.world.redis, "stop")
        self.world.redis.freeze()
        self._last(done)
        self.world.redis.thaw()
        fault.end()
        done.back = time.monotonic()

    # -- to one of several

    def _note_store(self, done, server, kind):
        done.name = server.name
        return self.cluster.faults.note("redis", server.name, server.pid, kind, lasting=True)

    def _with_primary(self, done, kind, hurt, mend):
        """One primary, until all are together again. What takes longer than a failover makes one."""
        server = self.rng.choice(self.world.primaries())
        slot = self._slot_of(server)
        fault = self._note_store(done, server, kind)
        hurt(server)
        if done.hurt.seconds >= 3.0:
            self.world.wait_failover(server, slot)
            done.back = time.monotonic()
        self._last(done)
        mend(server)
        self.world.redis.wait_ready(STORE_READY_S)
        fault.end()
        done.back = done.back or time.monotonic()

    def _slot_of(self, server):
        own = self.world.redis.slots_of(server) if hasattr(self.world.redis, "slots_of") else [COMMON_SLOT]
        return COMMON_SLOT if COMMON_SLOT in own else own[0]

    def _restart(self, server):
        self.world.redis.restart(server)

    def _kill_primary(self, done):
        self._with_primary(done, "kill", self.world.redis.kill, self._restart)

    def _cut_primary(self, done):
        self._with_primary(done, "cut", self.world.redis.kill_and_cut, self._restart)

    def _stop_primary(self, done):
        self._with_primary(done, "stop", self.world.redis.freeze, self.world.redis.thaw)

    def _isolate_primary(self, done):
        """From everybody."""
        self._with_primary(done, "part", lambda server: self.network.split(server.host), lambda server: self.network.mend(server.host))

    def _split_off_primary(self, done):
        """From the other servers: the nodes go on talking to it."""
        self._with_primary(done, "part", lambda server: self.network.split(server.host, but=[*self.world.nodes, "clients", "world"]),
                           lambda server: self.network.mend(server.host))

    def _kill_replica(self, done):
        server = self.rng.choice(self.world.replicas())
        self._note_store(done, server, "kill").end()
        self.world.redis.kill(server)
        self._last(done)
        self._restart(server)
        self.world.redis.wait_ready(STORE_READY_S)

    def _stop_replica(self, done):
        server = self.rng.choice(self.world.replicas())
        fault = self._note_store(done, server, "stop")
        self.world.redis.freeze(server)
        self._last(done)
        self.world.redis.thaw(server)
        fault.end()
        self.world.redis.wait_ready(STORE_READY_S)

    def _kill_sentinel(self, done):
        sentinel = self.rng.choice(self.world.redis.sentinels)
        done.name = sentinel.name
        sentinel.process.kill()
        self._last(done)
        sentinel.start()
        self.world.redis.wait_ready(STORE_READY_S)

    def _move_slots(self, done):
        done.moved = self.world.move_slots(self.rng)
        self.world.redis.wait_ready(STORE_READY_S)

    def _rotate_keys(self, _):
        self._order("keys", "rotate")
