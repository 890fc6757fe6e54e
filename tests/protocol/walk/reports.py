"""A random walk over reports about TLS: couriers count, take, commit and end; replies are lost, couriers stop for long or die at any step."""

import random

from protocol import calls

from .world import Violation

NAMES = ["2026-11-22 one.test", "2026-11-22 two.test"]
P, S, F = "P" + "0" * 32, "S" + "0" * 32, "F" + "0" * 32


class Walk:
    def __init__(self, store, part, seed):
        self.store, self.part, self.random = store, part, random.Random(seed)
        self.sessions = {name: 0 for name in NAMES}  # counted by couriers that were told so
        self.dropped = 0
        self.mails = {}  # name -> sessions in the mail that was made
        self.serial = 0

    def run(self, call):
        """What a courier hears; None: the reply was lost, and it asks again with the same."""
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            answer = self.store.run(call)
        return answer

    # -- counting

    def count(self, courier):
        parts = []
        for name in self.random.sample(NAMES, self.random.randint(1, 2)):
            rows = {P: "no-policy-found", self.random.choice([S, F]): self.random.randint(1, 9)}
            parts.append((name, 1, rows))
        courier.seq += 1
        call = calls.tlsrpt_count(courier.number, courier.seq, parts)
        first = self.store.run(call)
        for _ in range(self.random.choice([0, 0, 1, 2])):
            if self.store.run(call) != "again":
                raise Violation("a repeat is counted")
        total = sum(n for _, _, rows in parts for field, n in rows.items() if field != P)
        if first == "again":
            raise Violation("a first call is taken for a repeat")
        self.dropped += first
        for name, _, rows in parts:
            self.sessions[name] += sum(n for field, n in rows.items() if field != P)
        if first > total:
            raise Violation("more is dropped than was counted")

    # -- one taker, step by step

    def taker(self):
        """A courier from its look to its end; whoever stops asking for the next step is dead."""
        self.serial += 1
        token = f"7.{self.serial}"
        due = self.store.redis.zrangebyscore(calls.TLSRPT_DUE, "-inf", self.store.now_ms(), start=0, num=16)
        if not due:
            return
        name = self.random.choice(due)
        yield
        rows = self.run(calls.tlsrpt_take(name, token))
        if rows in ("gone", "later"):
            return
        rows = dict(zip(rows[::2], rows[1::2]))
        sessions = int(rows.get(S, 0)) + int(rows.get(F, 0))
        yield
        if self.random.random() < 0.1:  # DNS is away
            self.ended(name, token, "back")
            return
        if ".sent:mail" not in rows:
            content = f"{name} {sessions}"
            call = self.part.commit(f"report-{name.replace(' ', '-')}.0", "#fanout", [content], mark_ms=600000, script="carry")
            answer = self.store.run(call)
            if answer == "new":
                if name in self.mails:
                    raise Violation("a second mail")
                self.mails[name] = sessions
            elif answer not in ("again", "clash"):
                raise Violation(f"commit says {answer}")
            if name in self.mails and self.mails[name] != sessions:
                raise Violation("two couriers made different reports")
            for _ in range(self.random.choice([0, 0, 1])):
                if self.store.run(call) != "again":
                    raise Violation("a repeated commit is new")
            yield
            self.ended(name, token, "sent", "mail")
            yield
        if self.random.random() < 0.2:  # a place with https: is away
            self.ended(name, token, "back")
        else:
            self.ended(name, token, "done")

    def ended(self, name, token, outcome, *sent):
        holder = self.store.redis.hget(calls.TLSRPT_OF + name, ".token")
        answer = self.run(calls.tlsrpt_end(name, token, outcome, *sent))
        if holder != token and answer != "stale":
            raise Violation("who has lost it ends it")

    # -- the rest of the world

    def deliver(self):
        """A mail leaves the queue; the mark of its job stays."""
        self.serial += 1
        token = f"8.{self.serial}"
        self.store.run(self.part.claim("#fanout", 1, 8, self.serial))
        for job in self.store.redis.zrangebyscore(self.part.claimed, 8, 8):
            if self.store.run(self.part.settle(calls.End(job, "#fanout", token))) != ["ok"]:
                raise Violation("a mail cannot be delivered")

    def time_passes(self):
        """Whatever is held or put off is due again."""
        for name in self.store.redis.zrange(calls.TLSRPT_DUE, 0, -1):
            self.store.redis.zadd(calls.TLSRPT_DUE, {name: 1}, xx=True)


class Courier:
    def __init__(self, number):
        self.number, self.seq = number, 0


def walk(store, part, seed, steps):
    """Returns how many mails there were. A courier counts while none of the day's reports is late for it, and after."""
    w = Walk(store, part, seed)
    couriers, takers = [Courier(n) for n in (1, 2, 3)], []
    for step in range(steps):
        dice = w.random.random()
        if dice < (0.5 if step < steps // 3 else 0.1):
            w.count(w.random.choice(couriers))
        elif dice < 0.55 and step > steps // 6:
            takers.append(w.taker())
        elif dice < 0.6 and step > steps // 6:
            w.time_passes()
        elif dice < 0.63:
            w.deliver()
        elif dice < 0.66 and takers:
            takers.pop(w.random.randrange(len(takers)))  # dies
        elif takers:
            one = w.random.choice(takers)
            if next(one, "over") == "over":
                takers.remove(one)
    w.time_passes()
    for _ in range(10 * len(NAMES)):  # the healthy end
        for _ in w.taker():
            pass
        w.time_passes()
    if store.redis.zcard(calls.TLSRPT_DUE):
        raise Violation("a report is never done")
    for name in NAMES:
        if w.sessions[name] and name not in w.mails:
            raise Violation("a report was lost")
    if sum(w.mails.values()) + w.dropped != sum(w.sessions.values()):
        raise Violation(f"{sum(w.sessions.values())} sessions, {sum(w.mails.values())} in reports, {w.dropped} dropped")
    return len(w.mails)
