"""
How long the cluster needs after a fault, read from what was claimed at that moment and from the history (ev:) afterwards. Figures, never
assertions. Times of the history are Redis' own, in ms.
"""

import bisect
import re
import statistics

from load import BUSY, DEAD, HEALTHY, SLOW

_TAKES_AT_ONCE = {*HEALTHY, SLOW}  # jobs for these never wait for their host
WATCH_S = 12.0  # how long after the fault a figure may come

# Figure -> the target of DESIGN.md section 9 in seconds, and how it is measured.
FIGURES = {
    "courier: claims given back": (6.0, "courier killed or stopped: until the last job it had claimed was free for others"),
    "courier: claims taken up": (6.0, "the same, until another had claimed one of them in each of their queues: those whose host takes mail, and "
                                      "that no other courier had died with"),
    "dispatcher: grants resume": (4.0, "dispatcher killed or stopped: until the last message accepted in the second after it into queues of its "
                                       "partitions was claimed: those whose host takes mail"),
    "redis: no 250": (10.0, "Redis cut or stopped: until every unharmed ingress had answered 250 again; contains the time that Redis was away"),
    "redis: no 250 once it is back": (None, "the same, from Redis' first answer on"),
}


class Figure:
    """One measurement; is_alone: no other fault was near."""

    def __init__(self, name, seconds, is_alone, detail=""):
        self.name, self.seconds, self.is_alone, self.detail = name, seconds, is_alone, detail

    def __str__(self):
        return f"{self.name} {self.seconds:.2f} s{self.detail}"


def tags(redis):
    """The hash tags of the partitions, by what the leases are called."""
    return sorted({key[3:-1] for key in redis.scan_iter("o:{*}", count=1000)})


def incarnation(node):
    """The one it lives in, as it logged it; None before it joined."""
    found = re.findall(r"event=joined.*? incarnation=(\d+)", node.log_text())
    return found[-1] if found else None


def _history(redis, partitions, begin, end):
    """[(ms, event, job, detail)] of these partitions, in order."""
    pipe = redis.pipeline(transaction=False)
    for tag in partitions:
        pipe.xrange(f"ev:{{{tag}}}", begin, end)
    told = []
    for entries in pipe.execute():
        for name, fields in entries:
            told += _lines(int(name.partition("-")[0]), fields)
    return sorted(told)


def _lines(at, fields):
    """The lines of one entry, which tells of as many jobs as a call had."""
    return [(at, fields[0], fields[place], fields[place + 1]) for place in range(1, len(fields), 2)]


def raw_entries(reply, **_):
    """The entries of a stream with all their fields: [(name, [event, job, detail, job, detail, ...])]."""
    return [(name, fields[1::2]) for name, fields in reply or []]


def connect(server):
    made = server.client(decode_responses=True, socket_timeout=2)
    made.set_response_callback("XRANGE", raw_entries)
    return made


def _now_ms(redis):
    seconds, micros = redis.time()
    return seconds * 1000 + micros // 1000


class Claims:
    """What a courier had claimed when it was hurt."""

    def __init__(self, redis, owner):
        self.at, self.owner = _now_ms(redis), owner
        self.jobs = {}
        self._queues = {}  # job -> queue
        names = tags(redis)
        pipe = redis.pipeline(transaction=False)
        for tag in names:
            pipe.zrangebyscore(f"c:{{{tag}}}", owner, owner)
        for tag, jobs in zip(names, pipe.execute()):
            self.jobs.update((job, tag) for job in jobs)
        pipe = redis.pipeline(transaction=False)
        for job, tag in self.jobs.items():
            pipe.hmget(f"j:{{{tag}}}:{job}", "q", "x")
        for job, (queue, crashes) in zip(self.jobs, pipe.execute()):
            if queue in _TAKES_AT_ONCE and not crashes:
                self._queues[job] = queue

    def figures(self, redis):
        """[(name, seconds, detail)]"""
        given_back, taken_up = {}, {}
        for at, event, job, detail in _history(redis, set(self.jobs.values()), self.at, self.at + int(WATCH_S * 1000)):
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

    def __init__(self, redis, owner):
        self.at = _now_ms(redis)
        names = tags(redis)
        pipe = redis.pipeline(transaction=False)
        for tag in names:
            pipe.hget(f"o:{{{tag}}}", "owner")
            pipe.zrange(f"d:{{{tag}}}", 0, -1)
        found = pipe.execute()
        # A queue that waits for its host says nothing of its dispatcher.
        self.tags = [tag for tag, holder, queues in zip(names, found[::2], found[1::2])
                     if holder == owner and not {BUSY, DEAD, SLOW} & set(queues)]

    def figures(self, redis):
        end = self.at + int(WATCH_S * 1000)
        accepted, claimed = {}, {}
        for at, event, job, detail in _history(redis, self.tags, self.at, end):
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
