"""
How long the cluster needs after a fault, read from what was claimed at that moment and from the history (ev:) afterwards. Figures, never
assertions. Times of the history are Redis' own, in ms.
"""

import bisect
import re
import statistics
import time

from load import BUSY, DEAD, HEALTHY, LATER, SLOW
from redis.exceptions import RedisError

from harness.slots import slot_of

_TAKES_AT_ONCE = {*HEALTHY, SLOW}  # jobs for these never wait for their host
WATCH_S = 12.0  # how long after the fault a figure may come

# Figure -> the target of DESIGN.md section 9 in seconds, and how it is measured.
FIGURES = {
    "courier: claims given back": (6.0, "courier killed or stopped: until the last job it had claimed was free for others"),
    "courier: claims taken up": (6.0, "the same, until another had claimed one of them in each of their queues: those whose host takes mail, and "
                                      "that no other courier had died with"),
    "dispatcher: grants resume": (4.0, "dispatcher killed or stopped: until the last message accepted in the second after it into queues of its "
                                       "partitions was claimed: those whose host takes mail"),
    "redis: no 250": (10.0, "Redis cut or stopped, or its primary replaced: until every unharmed ingress had answered 250 again; contains the time that "
                            "Redis was away"),
    "redis: failed over": (None, "a primary killed, stopped or cut off for 3 s or longer: until another was"),
    "redis: no 250 once it is back": (None, "the same, from Redis' first answer on"),
}


class Figure:
    """One measurement; is_alone: no other fault was near."""

    def __init__(self, name, seconds, is_alone, detail=""):
        self.name, self.seconds, self.is_alone, self.detail = name, seconds, is_alone, detail

    def __str__(self):
        return f"{self.name} {self.seconds:.2f} s{self.detail}"


def tags(reader):
    """The hash tags of the partitions, by what the leases are called."""
    return sorted({key[3:-1] for key in reader.scan("o:{*}")})


def incarnation(node):
    """The one it lives in, as it logged it; None before it joined."""
    found = re.findall(r"event=joined.*? incarnation=(\d+)", node.log_text())
    return found[-1] if found else None


def _history(reader, partitions, begin, end):
    """[(ms, event, job, detail)] of these partitions, in order."""
    told = []
    for entries in reader.all([("xrange", f"ev:{{{tag}}}", begin, end) for tag in partitions]):
        for name, fields in entries:
            told += _lines(int(name.partition("-")[0]), fields)
    return sorted(told)


def _lines(at, fields):
    """The lines of one entry, which tells of as many jobs as a call had."""
    return [(at, fields[0], fields[place], fields[place + 1]) for place in range(1, len(fields), 2)]


def raw_entries(reply, **_):
    """The entries of a stream with all their fields: [(name, [event, job, detail, job, detail, ...])]."""
    return [(name, fields[1::2]) for name, fields in reply or []]


class Reader:
    """The queue of a run, read in Redis itself, wherever it is now: the programs under test are not asked."""

    def __init__(self, world):
        self.world = world
        self._clients = {}
        self._owner_of, self._known_at = None, 0.0

    def _client(self, server):
        if server.name not in self._clients:
            made = self._clients[server.name] = server.client(decode_responses=True, socket_timeout=2)
            made.set_response_callback("XRANGE", raw_entries)
        return self._clients[server.name]

    def scan(self, pattern):
        for server in self.world.primaries():
            yield from self._client(server).scan_iter(pattern, count=1000)

    def _owners(self):
        """slot -> server; a second old at most."""
        if time.monotonic() > self._known_at + 1:
            self._owner_of, self._known_at = self.world.owner_of(), time.monotonic()
        return self._owner_of

    def all(self, commands):
        """[the answer of each (word, key, ...)]"""
        by_server, answers = {}, [None] * len(commands)
        owner_of = self._owners()
        for place, command in enumerate(commands):
            owner = owner_of(slot_of(command[1]))
            if owner is None:
                raise RedisError("nobody has it now")
            by_server.setdefault(owner, []).append((place, command))
        for server, some in by_server.items():
            pipe = self._client(server).pipeline(transaction=False)
            for _, command in some:
                getattr(pipe, command[0])(*command[1:])
            for (place, _), answer in zip(some, pipe.execute()):
                answers[place] = answer
        return answers

    def one(self, word, key, *more, **named):
        owner = self._owners()(slot_of(key))
        if owner is None:
            raise RedisError("nobody has it now")
        return getattr(self._client(owner), word)(key, *more, **named)


def _now_ms():
    return int(time.time() * 1000)  # all servers are on this machine


class Claims:
    """What a courier had claimed when it was hurt."""

    def __init__(self, reader, owner):
        self.at, self.owner = _now_ms(), owner
        self.jobs = {}
        self._queues = {}  # job -> queue
        names = tags(reader)
        for tag, jobs in zip(names, reader.all([("zrangebyscore", f"c:{{{tag}}}", owner, owner) for tag in names])):
            self.jobs.update((job, tag) for job in jobs)
        records = reader.all([("hmget", f"j:{{{tag}}}:{job}", "q", "x") for job, tag in self.jobs.items()])
        for job, (queue, crashes) in zip(self.jobs, records):
            if queue in _TAKES_AT_ONCE and not crashes:
                self._queues[job] = queue

    def figures(self, reader):
        """[(name, seconds, detail)]"""
        given_back, taken_up = {}, {}
        for at, event, job, detail in _history(reader, set(self.jobs.values()), self.at, self.at + int(WATCH_S * 1000)):
            if job not in self.jobs:
                continue
            if event == "in_doubt":
                given_back.setdefault(job, at)
            elif event == "claimed" and job in given_back and not detail.startswith(self.owner + "."):
                taken_up.setdefault(self._queues.get(job), at)
        if not given_back:
            return []
        found = [("courier: claims given back", (max(given_back.values()) - self.at) / 1000, f" ({len(given_back)} jobs)")]
        queues = {queue for job, queue in self._queues.items() if job in given_back}
        if queues:
            last = max(taken_up.get(queue, self.at + int(WATCH_S * 1000)) for queue in queues)
            found.append(("courier: claims taken up", (last - self.at) / 1000, f" ({len(queues)} queues)"))
        return found


class Partitions:
    """What a dispatcher held when it was hurt."""

    def __init__(self, reader, owner):
        self.at = _now_ms()
        names = tags(reader)
        found = reader.all([command for tag in names for command in (("hget", f"o:{{{tag}}}", "owner"), ("zrange", f"d:{{{tag}}}", 0, -1))])
        # A queue that waits for its host says nothing of its dispatcher.
        self.tags = [tag for tag, holder, queues in zip(names, found[::2], found[1::2])
                     if holder == owner and not {BUSY, DEAD, LATER, SLOW} & set(queues)]

    def figures(self, reader):
        end = self.at + int(WATCH_S * 1000)
        accepted, claimed = {}, {}
        for at, event, job, detail in _history(reader, self.tags, self.at, end):
            if event == "accepted" and at < self.at + 1000:
                accepted[job] = at
            elif event == "claimed" and job in accepted:
                claimed.setdefault(job, at)
        if not accepted:
            return []
        last = max(claimed.get(job, end) for job in accepted)
        return [("dispatcher: grants resume", (last - self.at) / 1000, f" ({len(accepted)} jobs, {len(self.tags)} partitions)")]


class Answers:
    """When each ingress answered 250: put together once, at the end."""

    def __init__(self, generator):
        self._times = {}
        for item in generator.items:
            for attempt in item.attempts:
                if attempt.outcome == "taken":
                    self._times.setdefault(attempt.address, []).append(attempt.reply_at)
        for times in self._times.values():
            times.sort()

    def first_after(self, address, moment):
        times = self._times.get(address, [])
        place = bisect.bisect_right(times, moment)
        return times[place] if place < len(times) else None


def summary(figures):
    """{name: {alone: {count, median, worst}, among: ..., target}}"""
    found = {}
    for name, (target, how) in FIGURES.items():
        row = {"target": target, "how": how}
        for key, is_alone in (("alone", True), ("among others", False)):
            times = [figure.seconds for figure in figures if figure.name == name and figure.is_alone is is_alone]
            row[key] = {"count": len(times), "median": round(statistics.median(times), 2) if times else None,
                        "worst": round(max(times), 2) if times else None}
        found[name] = row
    return found
