"""
A run: a cluster under steady load, hurt by the plan of a seed, then left alone until its queue is empty; what became of every recipient, and
how long everything took.
"""

import os
import random
import re
import shutil
import statistics
import threading
import time

import plan
import recovery
from hands import Done, Hands
from left import Left
from load import HEALTHY, NO_SUCH_USER
from redis.exceptions import RedisError
from world import World

from harness import wait
from harness.cluster import ROLES, merged
from harness.ledger import Ledger

SETTINGS = {
    "courier": {"greeting_timeout": "5s", "command_timeout": "5s", "dot_timeout": "15s"},
    "dispatcher": {"pause_first": "1s", "pause_longest": "5s"},
    "retry": {"first": "300ms", "longest": "2s", "lifetime": "20s", "bounce_lifetime": "1h"},
}
DRAIN_S = 300  # a job that two, three, four couriers died with waits 10, 40, 160 s
SETTLE_S = 3.0  # how long a settle may take while others are hurt
EXPIRED = "5.4.7"
WELL_S = 5.0  # nothing hurt for so long, and every grant of before is over: then one fault alone


class Chaos:
    """
    store: one of plan.STORES. seconds: how long faults are made; the end takes as long as it takes. say: prints a line. kinds: as plan.rounds.
    next_build: the programs of the next version; without them nothing is upgraded. After run(): .problems (empty: all is well), .ledger, .result
    (what the report is made of).
    """

    def __init__(self, store, seconds, seed, rate=60, storm_length=12, kinds=None, say=print, settings=None, drain_s=DRAIN_S, build=None,
                 next_build=None, appendfsync="always"):
        self.store, self.seconds, self.seed, self.rate, self.say = store, seconds, seed, rate, say
        self.rng = random.Random(f"{seed}/nodes")
        self.rounds = plan.rounds(seed, store, storm_length, kinds, without=() if next_build else ("upgrade",))
        self.next_build, self.drain_s = next_build, drain_s
        self.options = {"settings": merged(SETTINGS, settings), "build": build, "appendfsync": appendfsync}
        self.done, self.problems, self.figures, self.watched = [], [], [], []
        self.skipped = self.held = 0
        self.busy = set()  # names of what is hurt now
        self.lock = threading.Lock()
        self.world = self.cluster = self.hands = self.load = self.reader = self.ledger = self.result = None

    # -- the run

    def run(self):
        self.began = time.monotonic()
        self.world = World(self.store, self.seed, **self.options)
        self.cluster = self.world.cluster
        try:
            with self.world:
                self._run()
                self.cluster.stop()
        except (AssertionError, OSError, RedisError) as failure:
            self.problems.append(f"{type(failure).__name__}: {failure}")
        if not self.problems:
            shutil.rmtree(self.cluster.folder, ignore_errors=True)
        return self

    def _run(self):
        self.reader = recovery.Reader(self.world)
        self.hands = Hands(self.world, SETTLE_S, self._watch, self.rng, self.next_build)
        with self.world.load(self.rate) as self.load:
            self.load.wait_acknowledged(50)
            self._hurt_until(time.monotonic() + self.seconds)
            self.hurt_s = time.monotonic() - self.began
            self._wait_well(0)
            self._collect(at_once=False)
            self.say(f"{self._now()}  no more faults: the load ends, the queue empties")
            self.load.stop(180)
        self._drain()
        self.ledger = Ledger([self.load], [self.world.sink], self.cluster.faults, dropped=self.load.dropped(), settle_s=SETTLE_S)
        self.problems += self.ledger.problems
        self.problems += self._wrong_reports()
        self.problems += [f"{verb} was answered {code} {count} times" for (verb, code), count in self.load.replies.items() if code >= 500]
        for_ever = Left(self.reader, self.say).for_ever()
        if for_ever:
            self.problems.append(f"left in Redis: {len(for_ever)} keys, e.g. {for_ever[:10]}")
        self._measure_answers()
        self.result = self._summary()

    def _now(self):
        return f"{time.monotonic() - self.began:6.1f} s"

    # -- the faults

    def _hurt_until(self, end):
        for one in self.rounds:
            for pause, hurts in one.storm:
                if self._pass(pause, end):
                    return
                for hurt in hurts:
                    self._begin(hurt)
            if one.alone:
                self._wait_well(WELL_S)
                if time.monotonic() >= end:
                    return
                self._begin(one.alone, is_alone=True)
                self._pass(7.0, end)
                self._wait_well(WELL_S)

    def _pass(self, seconds, end=None):
        """Lets so much time go by, and looks after things meanwhile. True when the end has come."""
        until = time.monotonic() + seconds
        wait.until(lambda: self._look_after() or time.monotonic() >= min(until, end or until), seconds + 60, "the time")
        return end is not None and time.monotonic() >= end

    def _look_after(self):
        self.load.forget()
        self._collect()
        with self.lock:
            dead = [node for node in self.cluster.nodes if node.name not in self.busy and not node.process.alive()]
        for node in dead:
            self.problems.append(f"{node.name} ended by itself with {node.process.returncode}\n{node.process.log_tail(15)}")
            self.say(f"{self._now()}  {node.name} ended by itself with {node.process.returncode}")
            self.cluster.restart(node)

    def _wait_well(self, seconds):
        """Until nothing has been hurt for so long."""
        def is_well():
            self._look_after()
            with self.lock:
                return not self.busy and time.monotonic() >= max([one.over for one in self.done], default=0.0) + seconds
        wait.until(is_well, 240, lambda: f"all to be well again; hurt: {self.busy}")

    def _choose(self, hurt, is_alone):
        """
        Something of that kind that is not hurt; its name. Of the store one thing at a time, which is what its level promises to survive. Alone:
        what has something to lose, so that there is a time to measure.
        """
        role = next((word for word in hurt.target.split() if word in ROLES), None)
        names = ["store"] if hurt.is_of_store else [node.name for node in self.cluster.of(role)] if role else [hurt.target]
        with self.lock:
            free = [name for name in names if name not in self.busy]
            if not free:
                return None
            name = self.rng.choice(free)
            if is_alone and hurt.target == "courier":
                name = max(free, key=self._claimed_by)
            self.busy.add(name)
            return name

    def _claimed_by(self, name):
        try:
            return len(recovery.Claims(self.reader, recovery.incarnation(self.cluster.node(name)) or 0).jobs)
        except RedisError:
            return 0

    def _begin(self, hurt, is_alone=False):
        name = self._choose(hurt, is_alone)
        if name is None:
            self.skipped += 1
            return
        done = Done(len(self.done) + 1, hurt, name, is_alone)
        self.done.append(done)
        self.say(f"{self._now()}  #{done.number} {hurt.what} {hurt.target if hurt.is_of_store or ' ' in hurt.target else name}, {hurt.seconds:.1f} s"
                 f"{' (alone)' if is_alone else ''}")
        threading.Thread(target=self._carry_out, args=(done,), daemon=True, name=f"fault {done.number}").start()

    def _carry_out(self, done):
        chosen = done.name
        try:
            self.hands.carry_out(done)
        except (AssertionError, OSError, RuntimeError, RedisError) as failure:
            self.problems.append(f"after #{done.number} {done.kind} {done.name}: {type(failure).__name__} {failure}")
        done.over = time.monotonic()
        with self.lock:
            self.busy.discard(chosen)

    def _watch(self, done, node):
        """Notes what it held; the figures come later."""
        owner = recovery.incarnation(node)
        if not owner or node.role == "ingress" or (done.hurt.what == "stop" and done.hurt.seconds < 5.0):
            return
        try:
            held = (recovery.Claims if node.role == "courier" else recovery.Partitions)(self.reader, owner)
        except RedisError:
            return
        with self.lock:
            self.watched.append((done, held))

    # -- how long it took

    def _collect(self, at_once=True):
        """The figures that are due; with at_once False those that are not are waited for."""
        while self.watched:
            done, held = self.watched[0]
            if time.monotonic() < done.began + recovery.WATCH_S + 1:
                if at_once:
                    return
                wait.until(lambda: time.monotonic() >= done.began + recovery.WATCH_S + 1, recovery.WATCH_S + 60, "a figure")
            with self.lock:
                self.watched.pop(0)
            try:
                found = held.figures(self.reader)
            except RedisError:
                continue
            for name, seconds, detail in found:
                self._add_figure(done, name, seconds, detail)

    def _add_figure(self, done, name, seconds, detail=""):
        near = [one for one in self.done if one is not done and one.is_near(done.began - WELL_S + 0.5, done.began + seconds)]
        if name.startswith(("courier", "dispatcher")) and any(one.hurt.is_of_store for one in near):
            return
        figure = recovery.Figure(name, seconds, not near, detail)
        self.figures.append(figure)
        if figure.is_alone:
            self.say(f"{self._now()}      #{done.number}: {figure}")

    def _measure_answers(self):
        answers = recovery.Answers(self.load)
        for done in self.done:
            if done.back is None:
                continue
            if done.hurt.target == "primary" and done.hurt.seconds >= 3.0:
                self._add_figure(done, "redis: failed over", done.back - done.began)
            calm = [node.smtp for node in self.cluster.of("ingress")
                    if not any(one.name == node.name and one.is_near(done.began - 1, done.back + 10) for one in self.done)]
            times = [time for time in (answers.first_after(address, done.back) for address in calm) if time]
            if times:
                self._add_figure(done, "redis: no 250", max(times) - done.began)
                self._add_figure(done, "redis: no 250 once it is back", max(times) - done.back)

    # -- the end

    def _drain(self):
        began = time.monotonic()
        left = Left(self.reader, self.say)
        told = 0.0
        while left.operate(self.cluster.queue()):
            now = time.monotonic()
            if now > began + self.drain_s:
                self.problems.append(f"stuck after {self.drain_s} s: {self.cluster.queue()}\n{left.text()}")
                break
            if now > told + 10:
                told = now
                queue = self.cluster.queue()
                self.say(f"{self._now()}      waiting {queue['waiting']}, claimed {queue['claimed']}, held {queue['held']}: {left.queues()}")
            self._pass(0.5)
        self.drained_s, self.held = time.monotonic() - began, left.held

    def _wrong_reports(self):
        """A healthy host took every recipient that is called r...: such a one may come back after its lifetime, never for good."""
        return [f"{key[0]} to {key[1]} was reported with {report.status}" for key, reports in self.ledger.reports.items() for report, _ in reports
                if key[1].rpartition("@")[2] in HEALTHY and not NO_SUCH_USER.match(key[1]) and report.status != EXPIRED]

    # -- what is told

    def _summary(self):
        kinds = {}
        for done in self.done:
            kinds[done.kind] = kinds.get(done.kind, 0) + 1
        explained = {}
        for _, why in self.ledger.explained:
            why = re.sub(r" (courier|ingress|dispatcher)\d+ .*", r" \1", why)
            explained[why] = explained.get(why, 0) + 1
        ledger = self.ledger
        return {
            "store": self.store, "seed": self.seed, "minutes": round(self.hurt_s / 60, 2), "seconds_to_empty": round(self.drained_s, 1), "faults": len(self.done),
            "faults_by_kind": dict(sorted(kinds.items())), "two_at_once": self._pairs(), "skipped": self.skipped,
            "octets_cut": sum(self.cluster.redis.cuts), "messages": len(self.load.items), "acknowledged": len(ledger.acknowledged),
            "delivered": sum(1 for key in ledger.acknowledged if key in ledger.copies),
            "reported": sum(1 for key in ledger.acknowledged if key in ledger.reports and key not in ledger.copies),
            "dropped": sum(1 for key in ledger.acknowledged
                           if key in ledger.dropped and key not in ledger.copies and key not in ledger.reports),
            "expired_at_healthy_hosts": sum(1 for key in ledger.reports if key[1].rpartition("@")[2] in HEALTHY and not NO_SUCH_USER.match(key[1])),
            "lost": max(0, ledger.lost), "held_and_released": self.held, "second_copies": sum(len(copies) - 1 for copies in ledger.copies.values()),
            "second_copies_by_cause": explained, "recovery": recovery.summary(self.figures), "latency": self._latency(),
            "problems": list(self.problems),
        }

    def _pairs(self):
        began = sorted(done.began for done in self.done)
        return sum(1 for one, other in zip(began, began[1:]) if other - one < 0.1)

    def _latency(self):
        """From 250 to the first delivery, recipients at healthy hosts, seconds."""
        times = sorted(copies[0].dot_at - self.ledger.items[key[0]].acknowledged[key[1]] for key, copies in self.ledger.copies.items()
                       if key in self.ledger.acknowledged and key[1].rpartition("@")[2] in HEALTHY)
        if not times:
            return {}
        return {"median": round(statistics.median(times), 3), "99 %": round(times[len(times) * 99 // 100], 2), "worst": round(times[-1], 2)}
