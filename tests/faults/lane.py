"""A cluster that one step after the other is done to, and what became of each step's message."""

import os
import re
import signal
import sys
import time

from snapshot import Snapshot, Watch

from harness import wait
from harness.cluster import Cluster
from harness.generator import LATER, TAKEN, Generator, content
from harness.ledger import Ledger
from harness.sink import ScriptedSink, reply

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from protocol import scripts  # noqa: E402
from protocol.calls import Partition  # noqa: E402

DOMAINS = ("one.test", "two.test", "three.test")
ORIGIN = "origin.test"
SIZES = {"small": 1000, "chunked": 600000}
FIRED = re.compile(r"^fault: (\w+) at (\w+), pid (\d+), time ([\d.]+)$", re.MULTILINE)
JOINED = re.compile(r"event=joined .*?incarnation=(\d+)")
NODES = "barid:{c}:nodes"
PATIENCE_S = 40


class Fired:
    """A fault that a node met."""

    def __init__(self, node, action, point, at):
        self.node, self.action, self.point, self.at = node, action, point, at


class Since:
    """What a sink took since a step began."""

    def __init__(self, sink):
        self.sink, self.first = sink, len(sink.transactions)

    def taken(self):
        return [transaction for transaction in list(self.sink.transactions)[self.first:] if transaction.taken]


class Lane:
    """Two of each program, a sink, a Redis. walk(step) -> (what happened, problems)."""

    def __init__(self, number, build):
        hosts = [f"127.0.{40 + number}.{place + 1}" for place in range(len(DOMAINS) + 1)]
        self.sink = ScriptedSink(hosts)
        self.sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda session, _: "<no" in session.commands[-1])
        self.sink.rule("rcpt", reply("451 4.2.1 later"), match=self._is_first_try)
        self._tried = set()
        routes = {domain: f"{host}:{self.sink.port}" for domain, host in zip((*DOMAINS, ORIGIN), hosts)}
        self.cluster = Cluster(ingress=2, dispatchers=2, couriers=2, build=build, settings={
            "courier": {"port": self.sink.port, "routes": routes, "max_recipients": 1, "idle_time": "0s"}, "store": {"commit_time": "2s"}})
        self.armed = os.path.join(self.cluster.folder, "armed")
        os.mkdir(self.armed)
        for node in self.cluster.nodes:
            node.process.env["BARID_FAULT_DIR"] = self.armed
        self.redis = None
        self.retry_script = scripts.assemble(scripts.sources())["retry"]

    def _is_first_try(self, session, _):
        name = session.commands[-1].partition("<")[2].partition(">")[0]
        if not name.startswith("later") or name in self._tried:
            return False
        self._tried.add(name)
        return True

    def __enter__(self):
        self.sink.__enter__()
        self.cluster.__enter__()
        self.redis = self.cluster.redis.client(socket_timeout=10)
        return self

    def __exit__(self, *rest):
        self.cluster.__exit__(*rest)
        self.sink.__exit__(*rest)

    # -- one step

    def walk(self, step):
        """(what happened to the message, [problems])."""
        self.began = time.monotonic()
        self.since = Since(self.sink)
        self.first_fault = len(self.cluster.faults)
        self.logged = {node: len(node.process.log_text(all_starts=True)) for node in self.cluster.nodes}
        self.generator = Generator(self.cluster.addresses, lambda _: self._message(step), sessions=1, limit=1, prefix=f"step{step.number}")
        with Watch(lambda: self.cluster.redis.client(socket_timeout=10)) as watch, self.generator_at_end():
            fired, problems = None, []
            try:
                fired = getattr(self, f"_{_PLOTS.get(step.point.name, step.action if step.action == 'cut' else 'plain')}")(step)
                self._end(step, fired)
            except wait.Deadline as late:
                problems.append(str(late).partition("\n")[0])
                self._disarm()
        problems += self._judge(step) + sorted(set(watch.wrong))
        return self._tell(step, fired), problems

    def generator_at_end(self):
        lane = self

        class AtEnd:
            def __enter__(self):
                return None

            def __exit__(self, *_):
                if lane.generator._thread:
                    lane.generator.__exit__()
        return AtEnd()

    def _message(self, step):
        who = {"success": "r", "deferral": "later", "failure": "no"}[step.outcome]
        number = step.number
        recipients = {
            "single": [f"{who}{number}@{DOMAINS[0]}"],
            "two": [f"r{number}a@{DOMAINS[0]}", f"{who}{number}b@{DOMAINS[0]}"],
            "many": [f"r{number}@{DOMAINS[0]}", f"{who}{number}@{DOMAINS[1]}", f"r{number}@{DOMAINS[2]}"]}[step.shape]
        sender = f"s{number}@{ORIGIN}"
        return sender, recipients, content(f"step{number}-0", sender, recipients, SIZES[step.size])

    # -- what is done

    def _arm(self, point, action, nth=1):
        with open(os.path.join(self.armed, f"{point}:{action}:{nth}"), "w", encoding="utf-8"):
            pass

    def _disarm(self):
        for name in os.listdir(self.armed):
            os.unlink(os.path.join(self.armed, name))

    def _offer(self):
        self.generator.start()

    def _wait_fired(self, point, timeout=PATIENCE_S):
        """Waits until a node meets this fault; a node that crashed is noted and dead, one that stopped is noted."""
        def look():
            for node in self.cluster.nodes:
                for action, name, pid, at in FIRED.findall(node.process.log_text(all_starts=True)[self.logged[node]:]):
                    if name == point and int(pid) == node.pid:
                        return Fired(node, action, name, float(at))
            return None
        fired = wait.until(look, timeout, f"a pass of {point}")
        kind = "kill" if fired.action == "crash" else "stop"
        fired.fault = self.cluster.faults.note(fired.node.role, fired.node.name, fired.node.pid, kind, lasting=True)
        fired.fault.at = fired.at
        if fired.action == "crash":
            fired.node.process.wait(10)
            fired.fault.end()
        return fired

    def _plain(self, step):
        self._arm(step.point.name, step.action, step.nth)
        self._offer()
        return self._recover(self._wait_fired(step.point.name))

    def _recover(self, fired):
        """A crashed node starts again; an ingress that stopped goes on when it is buried: its client waits for it."""
        if fired.action == "crash":
            self.cluster.restart(fired.node)
        elif fired.node.role == "ingress":
            self._wait_buried(fired.node)
            self._thaw(fired)
        return fired

    def _incarnation(self, node):
        return JOINED.findall(node.process.log_text())[-1]

    def _wait_buried(self, node):
        incarnation = self._incarnation(node)
        wait.until(lambda: not self.redis.hexists(NODES, incarnation), PATIENCE_S, f"the burial of {node.name}")

    def _thaw(self, fired):
        os.kill(fired.node.pid, signal.SIGCONT)
        fired.node.process.wait_log("event=declared_dead")
        fired.node.wait_ready()
        fired.fault.end()

    def _cut(self, step):
        """Redis stands still, the program crashes, Redis loses power: what was only sent is gone."""
        self._arm(step.point.name, "crash", step.nth)
        outage = self.cluster.faults.note("redis", "redis", self.cluster.redis.pid, "cut", lasting=True)
        self.cluster.redis.freeze()
        self._offer()
        fired = self._wait_fired(step.point.name)
        self.cluster.redis.kill_and_cut()
        self.cluster.redis.start()
        outage.end()
        return self._recover(fired)

    def _revoke(self, step):
        """Redis stands still longer than a commit is repeated."""
        first = "revoke_sent"
        self._arm(first, "crash" if step.point.name == first else "pause")
        if step.point.name != first:
            self._arm(step.point.name, step.action)
        outage = self.cluster.faults.note("redis", "redis", self.cluster.redis.pid, "stop", lasting=True)
        self.cluster.redis.freeze()
        self._offer()
        fired = self._wait_fired(first)
        self.cluster.redis.thaw()
        outage.end()
        if step.point.name != first:
            os.kill(fired.node.pid, signal.SIGCONT)
            fired.fault.end()
            fired = self._wait_fired(step.point.name)
        return self._recover(fired)

    def _burial(self, step):
        """A courier dies with the message: the dispatcher that buries it or reaps its claim is hurt in turn."""
        self._arm("claim_received", "crash")
        self._arm(step.point.name, step.action, step.nth)
        self._offer()
        self._recover(self._wait_fired("claim_received"))
        return self._recover(self._wait_fired(step.point.name))

    def _succession(self, step):
        """A dispatcher dies, and so does the one that takes its partitions."""
        self._offer()
        first = self.cluster.kill("dispatcher1")
        self._arm(step.point.name, step.action, step.nth)
        fired = self._wait_fired(step.point.name)
        self.cluster.restart(first)
        return self._recover(fired)

    # -- the end of a step

    def _end(self, step, fired):
        self.generator.wait_done(PATIENCE_S)
        wait.until(self._is_empty, PATIENCE_S, lambda: f"the end of all jobs: {Snapshot(self.redis).text()}")
        if fired.action == "pause" and fired.fault.ended_at is None:
            self._wait_buried(fired.node)
            self._thaw(fired)
            wait.until(self._is_empty, PATIENCE_S, lambda: f"the end of all jobs: {Snapshot(self.redis).text()}")
        self.ended = time.monotonic()
        for node in self.cluster.nodes:
            wait.until(node.is_ready, PATIENCE_S, f"{node.name} ready")
        # What a client abandons vanishes by itself, in ten minutes.
        self.abandoned = [key for key, ttl in Snapshot(self.redis).chunks.items() if ttl >= 0 and self.redis.delete(key)]

    def _is_empty(self):
        """Parents that wait for readers of their content look each minute: not to be waited for."""
        now = Snapshot(self.redis)
        if now.places and all(places[0][:2] == ("q", "#fanout") and places[0][2] > time.time() * 1000 + 3000
                              for places in now.places.values()):
            for tag, job in now.places:
                call = Partition(tag).order("retry", job, "#fanout")
                self.redis.eval(self.retry_script, len(call.keys), *call.keys, *call.args)
        return now.is_empty()

    # -- what became of it

    def _judge(self, step):
        item = self.generator.items[0] if self.generator.items else None
        if item is None:
            return ["the message was never offered"]
        faults = self.cluster.faults[self.first_fault:]
        ledger = Ledger([self.generator], [self.since], faults)
        problems = list(ledger.problems)
        self.item, self.copies, self.reports = item, ledger.copies, ledger.reports
        for node in self.cluster.nodes:
            if not node.process.alive():
                problems.append(f"{node.name} has ended with {node.process.returncode}")
        for (_, recipient), copies in self.copies.items():
            ids = {copy.message_id for copy in copies}
            if len(copies) > len(ids) and not step.has_open_dot:
                problems.append(f"{recipient} has it {len(copies)} times, and no dot was open")
            if len(copies) > len(ids) + 1:
                problems.append(f"{recipient} has it {len(copies)} times")
        for recipient in item.recipients:
            if recipient.startswith("no") != bool(self.reports.get((item.ledger_id, recipient))):
                problems.append(f"{recipient} was reported {len(self.reports.get((item.ledger_id, recipient), []))} times")
        return problems

    def _tell(self, step, fired):
        words = [f"{fired.node.name} {'died' if fired.action == 'crash' else 'stopped'}" if fired else "nothing fired"]
        item = self.item
        offered = [attempt for attempt in item.attempts if attempt.outcome != TAKEN]
        if not offered:
            words.append("taken")
        else:
            why = "told 4xx" if offered[0].outcome == LATER else "no reply to the dot" if offered[0].dot_at else "cut off before the dot"
            words.append(f"{why}, offered again, taken" if item.is_done else f"{why}, not taken")
        reaped = sum(int(jobs) for node in self.cluster.of("dispatcher")
                     for jobs in re.findall(r"event=reaped .*?jobs=(\d+)", node.process.log_text(all_starts=True)[self.logged[node]:]))
        if reaped:
            words.append(f"{reaped} reaped")
        words += self._fates(step, item)
        if fired and hasattr(self, "ended"):
            words.append(f"over after {self.ended - fired.at:.1f} s")
        return "; ".join(words)

    def _fates(self, step, item):
        fates = {}
        for recipient in item.recipients:
            copies = self.copies.get((item.ledger_id, recipient), [])
            reports = self.reports.get((item.ledger_id, recipient), [])
            ids = {copy.message_id for copy in copies}
            fate = ("delivered once" if len(copies) == 1 else
                    f"two messages, each delivered once" if len(copies) == len(ids) == 2 else
                    f"delivered {len(copies)} times" + (", its dot was open" if step.has_open_dot else "")) if copies else ""
            if reports:
                fate += (" and " if fate else "") + ("reported once" if len(reports) == 1 else f"reported {len(reports)} times")
            fates.setdefault(fate or "LOST", []).append(recipient)
        return [fate if len(fates) == 1 else f"{len(names)} {fate}" for fate, names in fates.items()]


_PLOTS = {
    "revoke_sent": "revoke", "revoke_confirmed": "revoke",
    "bury_sent": "burial", "buried": "burial", "reaped": "burial",
    "lease_acquired": "succession",
}
