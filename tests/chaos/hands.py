"""What is done to a cluster: each fault from its beginning until what it hurt is ready again."""

import time

from harness import wait

READY_S = 60


class Done:
    """A fault as it happened. began, over: monotonic; over is None until what was hurt is ready again."""

    def __init__(self, number, hurt, name, is_alone):
        self.number, self.hurt, self.name, self.is_alone = number, hurt, name, is_alone
        self.began, self.over, self.back = time.monotonic(), None, None

    def is_near(self, begin, end):
        return self.began <= end and (self.over is None or self.over >= begin)

    @property
    def kind(self):
        return f"{self.hurt.what} {self.hurt.role}"


class Hands:
    """
    settle_s: how long after an outage of Redis a verdict may still be unsettled. on_hurt(done, node) is called right after a kill or stop.
    """

    def __init__(self, cluster, settle_s, on_hurt):
        self.cluster, self.settle_s, self.on_hurt = cluster, settle_s, on_hurt

    def carry_out(self, done):
        """Returns when the fault is over; raises when the cluster does not get over it."""
        what = done.hurt.what.replace(" ", "_")
        if done.hurt.role == "redis":
            getattr(self, f"_{what}_redis")(done)
        else:
            getattr(self, f"_{what}")(done, self.cluster.node(done.name))

    @staticmethod
    def _last(done, since=None):
        end = (since or done.began) + done.hurt.seconds
        wait.until(lambda: time.monotonic() >= end, done.hurt.seconds + 60, "the end of a fault")

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

    def _end(self, _, node, fault_points=None):
        """A restart as an operator does it. What cannot be settled because Redis is away may be sent again."""
        began = time.monotonic()
        ended = self.cluster.faults.note(node.role, node.name, node.pid, "end", lasting=True)
        code = node.process.terminate(READY_S)
        ended.end()
        if not any(fault.role == "redis" and fault.overlaps(began - self.settle_s, ended.ended_at) for fault in list(self.cluster.faults)):
            self.cluster.faults.remove(ended)
        if code != 0:
            raise AssertionError(f"it ended by SIGTERM with {code}\n{node.process.log_tail(15)}")
        environment = {key: value for key, value in node.process.env.items() if key != "BARID_FAULT"}
        node.process.env = {**environment, "BARID_FAULT": fault_points} if fault_points else environment
        self.cluster.restart(node)
        node.wait_ready(READY_S)

    def _lose_frames(self, done, node, fault_points="bus_send:lose:20"):
        self._end(done, node, fault_points)
        self._last(done, since=time.monotonic())
        self._end(done, node)

    def _delay_frames(self, done, node):
        self._lose_frames(done, node, "bus_send:delay:50")

    def _cut_redis(self, done):
        fault = self.cluster.faults.note("redis", "redis", self.cluster.redis.pid, "cut", lasting=True)
        self.cluster.redis.kill_and_cut()
        self._last(done)
        self.cluster.redis.start(READY_S)
        fault.end()
        done.back = time.monotonic()

    def _stop_redis(self, done):
        fault = self.cluster.freeze_redis()
        self._last(done)
        self.cluster.thaw_redis(fault)
        done.back = time.monotonic()
