"""Time, Redis, the network; actors are generators that yield Sleep, Send or Wait."""

import collections
import heapq
import itertools
import os
import random
import types

import redis as client

from protocol import scripts
from protocol.calls import CHUNK_TTL_S, Call

HERE = os.path.dirname(os.path.abspath(__file__))
START_MS = 4_000_000_000_000  # far ahead: in a real Redis no time limit of this clock passes by itself
UNKNOWN = types.SimpleNamespace(name="unknown")  # no answer came: it may have been done, now or later
QUIET = {"beat", "nodes", "read", "bury", "join", "due", "acquire", "keep"}  # touch no job: seldom checked


class Violation(Exception):
    """Something that must never happen."""


Sleep = collections.namedtuple("Sleep", "ms")
Send = collections.namedtuple("Send", "request")
Wait = collections.namedtuple("Wait", "promise")


class Request:
    """One round trip: calls of scripts, or one reading command. done(answer): told when Redis has run it."""

    def __init__(self, name, *commands, done=None):
        self.name = name
        self.commands = commands
        self.done = done


def call(made, done=None):
    return Request(made.script, made, done=done)


def reading(*command, name="read"):
    return Request(name, command)


class Promise:
    def __init__(self):
        self.is_kept = False
        self.value = None
        self.waiting = []

    def keep(self, value=None):
        self.is_kept, self.value = True, value
        for resume in self.waiting:
            resume(value)
        self.waiting = []


class Node:
    """A process: its actors stop with it, and stand still while it is paused."""

    def __init__(self):
        self.is_dead = False
        self.paused_until = 0


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


class World:
    def __init__(self, redis, seed, sources, roughness=None):
        self.redis = redis
        self.seed = seed
        self.random = random.Random(seed)
        self.roughness = roughness or self.random.choice([0.5, 1, 3])  # times the usual chance of each fault
        self.now = START_MS
        self.clock_offset = 0  # of Redis
        self.outage_until = 0
        self.lanes = 0  # grows when the settings change: which lane a sender's mail is in
        self.has_faults = True
        self.calm_from = float("inf")  # when the last of the dead must have been buried
        self.steps = 0
        self.counts = collections.Counter()
        self.recent = collections.deque(maxlen=60)
        self._agenda = []
        self._order = itertools.count()
        self.set_up(redis, sources)

    def set_up(self, redis, sources):
        redis.flushall()
        redis.response_callbacks.pop("XRANGE", None)  # would fold the fields of an entry into a dict
        loaded = scripts.assemble(sources, before=read("virtual.lua"))
        self._hashes = {name: redis.script_load(text) for name, text in loaded.items()}
        self._tick = redis.script_load(read("tick.lua"))
        self._invariants = redis.script_load(read("invariants.lua"))

    # ---- time

    def at(self, delay, act):
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), act))

    def step(self):
        when, _, act = heapq.heappop(self._agenda)
        self.now = max(self.now, when)
        act()

    def may_fail(self, chance):
        return self.has_faults and self.random.random() < chance * self.roughness

    # ---- what must never happen

    def fail(self, what):
        when = f"seed {self.seed}, step {self.steps}, at {self.now - START_MS:.0f} ms"
        raise Violation("\n".join([f"{when}: {what}", *self.recent]))

    # ---- Redis

    def deliver(self, request, then=lambda answer: None):
        """The request reaches Redis."""
        then(self.execute(request))

    def execute(self, request):
        """Runs a request now, and checks the partitions that it touched."""
        pipe = self.redis.pipeline(transaction=False)
        pipe.evalsha(self._tick, 0, int(self.now + self.clock_offset))
        for command in request.commands:
            if isinstance(command, Call):
                for key, piece in command.chunks.items():
                    # What a plain SET with NX and a TTL does; the virtual clock needs the script.
                    pipe.evalsha(self._hashes["chunk"], 1, key, piece, CHUNK_TTL_S)
                pipe.evalsha(self._hashes[command.script], len(command.keys), *command.keys, *command.args)
            else:
                pipe.execute_command(*command)
        place = len(pipe.command_stack) - 1
        self.steps += place
        checked = self.partitions_of(request)
        for tag in checked:
            pipe.evalsha(self._invariants, 0, tag)
        try:
            answers = pipe.execute()
        except client.exceptions.ResponseError as error:
            self.fail(f"{request.name} failed: {error}")
        answer = answers[place]
        self.note(request, answer)
        if request.done:
            request.done(answer)
        for sentences in answers[place + 1:]:
            for sentence in sentences:
                self.fail(f"{sentence} (after {request.name})")
        return answer

    def note(self, request, answer):
        self.counts["request " + request.name] += 1
        if request.name not in QUIET and answer:
            line = f"  {self.now - START_MS:10.0f} {request.name} {self._short(request)} -> {answer}"
            self.recent.append(line[:240])

    @staticmethod
    def _short(request):
        command = request.commands[-1]
        return " ".join(str(arg) for arg in (command.args if isinstance(command, Call) else command))

    def partitions_of(self, request):
        if request.name in QUIET and self.steps % 50:
            return []
        keys = [key for command in request.commands if isinstance(command, Call) for key in command.keys]
        return sorted({key.split("{")[1].split("}")[0] for key in keys if "{" in key and "barid" not in key})

    # ---- actors

    def spawn(self, node, actor):
        self.at(self.random.random() * 10, lambda: self._resume(node, actor, None))

    def _resume(self, node, actor, value):
        if node.is_dead:
            return
        if node.paused_until > self.now:
            wake = node.paused_until - self.now + self.random.random() * 5
            self.at(wake, lambda: self._resume(node, actor, value))
            return
        try:
            wish = actor.send(value)
        except StopIteration:
            return
        except (ValueError, KeyError, TypeError, IndexError) as error:
            self.fail(f"an actor met what it cannot understand: {error!r}")
        if node.is_dead:
            return
        resume = lambda answer: self._resume(node, actor, answer)  # noqa: E731
        if isinstance(wish, Sleep):
            self.at(wish.ms, lambda: resume(None))
        elif isinstance(wish, Wait):
            if wish.promise.is_kept:
                self.at(0, lambda: resume(wish.promise.value))
            else:
                wish.promise.waiting.append(lambda value: self.at(0, lambda: resume(value)))
        else:
            self._send(wish.request, resume)

    def _send(self, request, resume):
        """Through the network: fine, its reply lost, lost itself, or given up and executed long after."""
        chance, latency, fault = self.random.random(), self.random.uniform(0.2, 6), 0.1 * self.roughness
        if self.now < self.outage_until:
            if chance < 0.15:
                self._execute_late(request, 12000)
            self.at(self.random.uniform(300, 1500), lambda: resume(UNKNOWN))
        elif not self.has_faults or chance < 1 - fault:
            self.at(latency, lambda: self.deliver(request, lambda answer: self.at(latency, lambda: resume(answer))))
        else:
            if chance < 1 - 0.6 * fault:
                self.counts["reply lost"] += 1
                self.at(latency, lambda: self.deliver(request))
            elif chance < 1 - 0.3 * fault:
                self.counts["request lost"] += 1
            else:
                self._execute_late(request, 15000)
            self.at(self.random.uniform(100, 1000), lambda: resume(UNKNOWN))

    def _execute_late(self, request, most_ms):
        self.counts["request late"] += 1
        self.at(self.random.uniform(50, most_ms), lambda: self.deliver(request))


def ask(request, repeat=None, tries=None):
    """Sends until there is an answer, or `tries` times: UNKNOWN then. A repeat may differ (`repeat`)."""
    for turn in itertools.count(1):
        answer = yield Send(request)
        if answer is not UNKNOWN or turn == tries:
            return answer
        request = repeat or request
