"""Couriers: join, beat, claim, deliver, settle in batches, expand; and the check of their own claims."""

import itertools
import json

from protocol import calls
from protocol.calls import End, Report

from .ledger import PARTS, home, lane
from .world import UNKNOWN, Node, Promise, Send, Sleep, Wait, ask, call, reading

ATTEMPTS_MOST = 4
FANOUT = "#fanout"


class Courier(Node):
    def __init__(self, world, ledger, hints, born=lambda: None):
        super().__init__()
        self.world = world
        self.ledger = ledger
        self.hints = hints  # (tag, queue) with work
        self.born = born  # makes the next one
        self.incarnation = None
        self.beat_sent = -10**9  # of the last confirmed beat
        self.told_dead = False
        self.tokens = itertools.count(1)
        self.suspects = 0
        self.lanes = world.lanes  # its settings, maybe behind those of others
        self.table = set()  # (tag, job) it knows to be its own
        self.asking = set()  # tokens of claims not yet answered: nobody may call their jobs unknown
        self.repeated = set()  # tokens of claims that it sent more than once
        self.outbox = {tag: [] for tag in PARTS}  # verdicts to settle
        self.bell = {tag: Promise() for tag in PARTS}
        world.spawn(self, self.boot())

    def boot(self):
        self.incarnation = yield from ask(call(calls.join()))
        self.world.spawn(self, self.beat())
        for _ in range(2):
            self.world.spawn(self, self.work())
        for tag in PARTS:
            self.world.spawn(self, self.settle_all(tag))
        self.world.spawn(self, self.compare())

    def crash(self):
        if not self.is_dead:
            self.is_dead = True
            self.world.counts["courier crashed"] += 1
            if not self.told_dead:  # else the next one lives already
                self.world.at(500, self.born)

    def new_token(self):
        return f"{self.incarnation}.{next(self.tokens)}"

    def may_stop(self, chance):
        """Perhaps a pause begins, which the next yield feels."""
        if self.world.may_fail(chance):
            self.paused_until = self.world.now + self.world.random.uniform(500, 12000)
            self.world.counts["courier paused"] += 1

    # ---- alive

    def beat(self):
        for count in itertools.count(1):
            sent = self.world.now
            answer = yield Send(call(calls.beat(self.incarnation, count)))
            if not self.world.may_fail(0.5):
                self.lanes = self.world.lanes
            if answer == "ok":
                self.beat_sent = max(self.beat_sent, sent)
            elif answer == "dead":
                self.world.counts["courier told dead"] += 1
                self.told_dead = True
                self.born()
                yield Sleep(60000)  # what is past its dot still settles
                self.is_dead = True
                return
            yield Sleep(max(1, 1000 - (self.world.now - sent)))

    def may_send_dot(self):
        return self.world.now - self.beat_sent < 3000 and not self.told_dead

    def compare(self):
        """A claim it does not know came late, if it repeated the request; otherwise something is broken."""
        strange = set()
        while not self.told_dead:
            yield Sleep(10000)
            for tag, part in PARTS.items():
                jobs = yield Send(reading("ZRANGEBYSCORE", part.claimed, self.incarnation, self.incarnation))
                if jobs is UNKNOWN:
                    continue
                for job in [job for job in jobs if (tag, job) not in self.table]:
                    fields = yield Send(reading("HMGET", part.record(job), "k", "q", "n"))
                    if fields is UNKNOWN or not fields[0] or (tag, job) in self.table:
                        continue
                    token, queue, chunks = fields[0], fields[1], int(fields[2])
                    if token in self.asking:
                        continue
                    if token in self.repeated:
                        self.world.counts["late claim released"] += 1
                        late = End(job, queue, token, "back", event="released", chunks=chunks)
                        yield from self.settle(tag, late)
                    elif (tag, job, token) in strange:
                        self.world.fail(f"{self.incarnation} does not know its claim {token} on {job}")
                    elif token.startswith(self.incarnation + "."):
                        strange.add((tag, job, token))

    # ---- settling, in batches: one settle of a partition under way at a time

    def settle(self, tag, end, done=None):
        """Settles until answered. done: told when Redis has run it with "ok"."""
        answered = Promise()
        self.outbox[tag].append((end, done, answered))
        self.bell[tag].keep()
        answer = yield Wait(answered)
        self.world.counts[f"settle {end.outcome} {answer}"] += 1
        return answer

    def settle_all(self, tag):
        while True:
            if not self.outbox[tag]:
                self.bell[tag] = Promise()
                yield Wait(self.bell[tag])
            batch, later, jobs = [], [], set()
            for item in self.outbox[tag]:
                (later if item[0].job in jobs else batch).append(item)
                jobs.add(item[0].job)
            self.outbox[tag] = later

            def executed(answers, batch=batch, is_first=iter([True])):
                first = next(is_first, False)
                for (end, done, _), answer in zip(batch, answers):
                    if first and answer != "ok":
                        self.ledger.refuse_settle(end.job, end.token, answer)
                    if done and answer == "ok":
                        done()
            answers = yield from ask(call(PARTS[tag].settle(*(end for end, _, _ in batch)), done=executed))
            for (_, _, answered), answer in zip(batch, answers):
                answered.keep(answer)

    # ---- claiming

    def work(self):
        random = self.world.random
        while not self.told_dead:
            yield Sleep(random.uniform(1, 60) if self.hints else random.uniform(20, 200))
            if not self.hints or not self.may_send_dot():
                continue
            tag, queue = self.hints.pop(random.randrange(len(self.hints)))
            token = self.new_token()
            suspects = 0 if self.suspects else 1
            self.suspects += suspects  # reserved while the claim is under way
            jobs = yield from self.claim(PARTS[tag], queue, token, suspects)
            self.table |= {(tag, job) for job, _ in jobs}
            self.asking.discard(token)
            is_suspect = any(int(fields[4] or 0) >= 2 for _, fields in jobs)
            if suspects and not is_suspect:
                self.suspects -= 1
            for job, fields in jobs:
                if not self.told_dead:
                    yield from self.work_on(Job(self, tag, queue, job, fields, token))
                self.table.discard((tag, job))
            if suspects and is_suspect:
                self.suspects -= 1

    def claim(self, part, queue, token, suspects):
        count = self.world.random.choice([1, 2, 4])
        seq = token.split(".")[1]

        def request(repeated):
            return call(part.claim(queue, count, self.incarnation, seq, repeated, suspects, 10000))
        self.asking.add(token)
        answer = yield Send(request(False))
        if answer is UNKNOWN:
            self.repeated.add(token)
            answer = yield from ask(request(True))
        return answer[2] if answer[0] == "jobs" else []

    def work_on(self, job):
        if self.world.may_fail(0.9 if job.message.poison else 0.02):
            self.crash()
            return
        self.may_stop(0.02)
        if job.queue == FANOUT:
            yield from Expansion(job).run()
        elif job.fate == "delete":
            self.ledger.ordered_away.add(job.name)
            yield from job.settle("end", event="deleted")
        elif job.fate == "bounce":
            yield from job.settle("end", event="bounced", failed=job.state["left"])
            self.world.counts["bounced"] += 1
        elif job.queue != job.right_queue():
            yield from job.settle("back", event="moved", delay=1000, to=job.right_queue())
            self.world.counts["moved"] += 1
        elif self.world.may_fail(0.05):
            yield from job.settle("back", event="released")
        elif self.world.may_fail(0.02):
            yield from job.settle("hold", event="held")
        elif (yield from job.read_content()):
            yield from self.deliver(job)

    def deliver(self, job):
        """One transaction after another, each settled; what is left of the job goes back, or ends it."""
        random = self.world.random
        left, attempt, deferred = list(job.state["left"]), job.state["attempts"] + 1, []
        while left:
            count = random.choice([1, 2, 3])
            some, left = left[:count], left[count:]
            yield Sleep(random.choice([1, 5, 30, 200, 2500]) if self.world.has_faults else 1)
            if self.world.may_fail(0.01):
                self.crash()
                return
            if not self.may_send_dot():
                if not self.told_dead:
                    yield from job.settle("back", event="released")
                return
            copies, delivered, failed, later = self.remote(job, some)
            if self.world.may_fail(0.02):
                self.crash()  # between dot and settle
                return
            self.may_stop(0.01)
            yield Sleep(random.uniform(1, 50))
            if attempt >= ATTEMPTS_MOST:
                failed, later = failed + later, []
            deferred += later
            verdict = {"delivered": delivered, "failed": failed, "copies": copies}
            if left:
                state = {"left": left + deferred, "attempts": attempt - 1}
                answer = yield from job.settle("keep", event="attempted", state=state, **verdict)
            elif deferred:
                state = {"left": deferred, "attempts": attempt}
                delay = random.choice([1000, 30000, 300000])
                answer = yield from job.settle("back", event="deferred", state=state, delay=delay, **verdict)
            else:
                answer = yield from job.settle("end", event="delivered", **verdict)
            if answer not in ("ok", "again"):
                self.world.counts["courier in doubt"] += 1
                if answer == "incomplete":
                    self.world.fail(f"a report's content is not whole: {job.name}")
                return

    def remote(self, job, recipients):
        """The dot, and the remote's answer: (copies its verdict records, delivered, failed, deferred)."""
        chance = self.world.random.random() if self.world.has_faults else 0
        if 0.75 <= chance < 0.85:
            return [], [], [], recipients
        if 0.85 <= chance < 0.93:
            return [], [], recipients, []
        copies = [self.ledger.send(job.message_name, who, job.name, job.token, self.incarnation)
                  for who in recipients]
        if chance >= 0.97:
            for copy in copies:
                copy.reply_lost = True
            return [], [], [], recipients
        return copies, recipients, [], []


class Job:
    """A claimed job in the hands of its courier."""

    def __init__(self, courier, tag, queue, name, fields, token):
        self.courier = courier
        self.world, self.ledger = courier.world, courier.ledger
        self.tag, self.queue, self.name, self.token = tag, queue, name, token
        self.envelope, self.state = json.loads(fields[0]), json.loads(fields[1])
        self.chunks, self.fate, self.is_read = int(fields[2]), fields[3], bool(fields[6])
        self.message_name = self.envelope["message"]
        self.message = self.ledger.messages[self.message_name]

    def right_queue(self):
        """By the settings that its courier knows."""
        return self.queue.split("/")[0] + lane(self.message.sender, self.courier.lanes)

    def settle(self, outcome, event, state=None, delay=0, delivered=(), failed=(), copies=(), to=None):
        end = End(self.name, to or self.queue, self.token, outcome, delay, event=event, chunks=self.chunks,
                  state=None if state is None else json.dumps(state), moves=to is not None)
        report = None
        if failed and self.message.sender is not None:
            report, end.report = self.report()
        if outcome == "keep":
            end.next = self.courier.new_token()
        answer = yield from self.courier.settle(
            self.tag, end, lambda: self.ledger.record(self.message_name, delivered, failed, copies, report))
        if outcome == "keep":
            self.token = end.next
        return answer

    def report(self):
        """A DSN is a message of its own, in #fanout of this partition: its name, and what settle writes."""
        sender = self.message.sender
        who = "sender@" + sender
        name = self.ledger.new_message(None, {who: {".0", ".1"}}, report_of=self.message_name)
        envelope = {"message": name, "sender": None, "chunks": 1, "tag": self.tag, "content": name + ".0"}
        state = {"children": [[sender + lane(None, self.courier.lanes), [who]]], "cursor": 0, "rounds": 0}
        content = "report" + name
        return name, Report(name + ".0", "digest" + name, content, json.dumps(envelope), json.dumps(state))

    def read_content(self):
        """Whether it is all there. What is missing while the claim still holds is lost content."""
        part = PARTS[self.envelope["tag"]]
        for i in range(self.envelope["chunks"]):
            piece = yield from ask(reading("GET", part.chunk_key(self.envelope["content"], i)))
            if piece is None:
                if (yield from self.settle("hold", event="held")) == "ok":
                    self.world.fail(f"content of {self.name} is missing")
                return False
        return True


class Expansion:
    """A job of #fanout: its children are made, and waited for if they read its content."""

    def __init__(self, job):
        self.job = job
        self.courier, self.world, self.ledger = job.courier, job.world, job.ledger
        self.children = [(f"{job.message_name}.{i}", queue, recipients)
                         for i, (queue, recipients) in enumerate(job.state["children"], 1)]

    def run(self):
        job, state = self.job, self.job.state
        if job.fate == "delete":
            self.ledger.ordered_away.add(job.name)
            if job.is_read:
                yield from self.wait_for_children()
            else:
                yield from job.settle("end", event="deleted")
            return
        if self.world.may_fail(0.03):
            yield from job.settle("back", event="released")
            return
        while state["cursor"] < len(self.children):
            some = self.children[state["cursor"]:state["cursor"] + 2]
            if not (yield from self.carry(some)):
                return
            state["cursor"] += len(some)
            answer = yield from job.settle("keep", event="expanded", state=state)
            if answer not in ("ok", "again"):
                return
        if job.fate == "bounce":
            for name, queue, _ in self.children:
                yield from ask(call(home(queue).order("bounce", name, queue)))
                self.world.counts["child bounced"] += 1
        if not job.is_read:
            yield from job.settle("end", event="expanded")
            return
        state["rounds"] += 1
        if state["rounds"] > 1 or self.world.random.random() < 0.3:
            yield from self.wait_for_children()
        else:
            yield from job.settle("back", event="expanded", state=state, delay=60000)

    def carry(self, some):
        """Whether all of them exist now, or have existed."""
        job, courier = self.job, self.courier
        for name, queue, recipients in some:
            if not courier.may_send_dot():
                if not courier.told_dead:
                    yield from job.settle("back", event="released")
                return False
            if self.world.may_fail(0.03):
                courier.crash()
                return False
            envelope = dict(job.envelope)
            if not job.is_read:
                envelope.update(tag=home(queue).tag, content=name, chunks=1)
            state = {"left": recipients, "attempts": 0}
            answer = yield from ask(call(home(queue).commit(
                name, queue, () if job.is_read else ("copy" + name,), "digest" + name, json.dumps(envelope),
                json.dumps(state), mark_ms=86400000, tenant=job.envelope.get("tenant", ""), script="carry")))
            self.world.counts["child " + answer] += 1
            # "revoked": deleted with its parent by an order, which an unhold has taken back since.
            is_deleted = answer == "revoked" and job.name in self.ledger.ordered_away
            if answer not in ("new", "again") and not is_deleted:
                self.world.fail(f"carry of {name} answered {answer}")
        return True

    def wait_for_children(self):
        left = 0
        for name, queue, _ in self.children:
            exists = yield from ask(reading("EXISTS", home(queue).record(name)))
            if not exists and self.job.fate == "delete":
                # A dead courier's carry may still arrive: it must not find the content gone.
                yield from ask(call(home(queue).delete(name, queue, revoke=True)))
                exists = yield from ask(reading("EXISTS", home(queue).record(name)))
            left += exists
        if left:
            yield from self.job.settle("back", event="expanded", state=self.job.state, delay=60000)
        else:
            yield from self.job.settle("end", event="expanded")
