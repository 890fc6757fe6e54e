"""A cluster that one step after the other is done to, and what became of each step's message."""

import os
import re
import shutil
import signal
import time

from redis.exceptions import RedisError
from snapshot import Snapshot, Watch

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.door import Door
from harness.generator import LATER, TAKEN, Generator, content, noise
from harness.ledger import Ledger
from harness.sink import DEFAULT_FEATURES, ScriptedSink, reply
from protocol import scripts
from protocol.calls import Partition

DOMAINS = ("one.test", "two.test", "three.test")
STORE = "store.test"
ORIGIN, MOVED = "origin.test", "moved.test"  # the lane of MOVED's senders is known to couriers, and not to the ingress
SIZES = {"small": 1000, "chunked": 600000, "binary": 600000, "submitted": 1000, "bulky": 600000}
SUBMITTED = ("submitted", "bulky")
USER = ("ann", "a secret of hers")
FIRED = re.compile(r"^fault: (\w+) at (\w+), pid (\d+), time ([\d.]+)$", re.MULTILINE)
JOINED = re.compile(r"event=joined .*?incarnation=(\d+)")
NODES = "barid:{c}:nodes"
PATIENCE_S = 40
OFFERS_MAX = 20  # a ring may be lost, and the message be found without it
UNHURT_S = 0.3  # after its end a message has not met the fault
CHUNKS = 3  # of a chunked message


class Fired:
    """A fault that a node met."""

    def __init__(self, node, action, point, at):
        self.node, self.action, self.point, self.at = node, action, point, at


class Since:
    """What sinks took since a step began."""

    def __init__(self, *sinks):
        self.firsts = [(sink, len(sink.transactions)) for sink in sinks]

    def taken(self):
        return [transaction for sink, first in self.firsts for transaction in list(sink.transactions)[first:] if transaction.taken]


class Lane:
    """Two of each program, a sink, a Redis. walk(step) -> (what happened, problems)."""

    def __init__(self, number, build):
        self.source = f"127.0.{50 + number}.1"
        hosts = [f"127.0.{40 + number}.{place + 1}" for place in range(len(DOMAINS) + 1)]
        self.sink = ScriptedSink(hosts, features=[*DEFAULT_FEATURES, "CHUNKING", "BINARYMIME"])
        self.store = ScriptedSink(hosts[:1], features=[*DEFAULT_FEATURES, "CHUNKING", "BINARYMIME"], is_lmtp=True)
        for sink in (self.sink, self.store):
            sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda session, _: "<no" in session.commands[-1])
            sink.rule("rcpt", reply("451 4.2.1 later"), match=self._is_first_try)
        self._tried = set()
        self.folder = paths.scratch("authority")
        self.authority = Authority(self.folder)
        certificate = self.authority.issue("localhost")
        routes = {domain: f"{host}:{self.sink.port}" for domain, host in zip((*DOMAINS, ORIGIN), hosts)}
        routes[MOVED], routes[STORE] = routes[ORIGIN], "store"
        routes[DOMAINS[0]] = "smart"  # the first is spoken to by TLS and with a login, the others in plain
        smart = {"hosts": [f"{hosts[0]}:{self.sink.port}"], "tls": "verify localhost", "user": USER[0], "password": USER[1]}
        self.sink.secure(certificate, hosts[0])
        self.sink.demand_login(dict([USER]), hosts[0])
        self.cluster = Cluster(ingress=2, dispatchers=2, couriers=2, build=build, settings={
            "courier": {"port": self.sink.port, "routes": routes, "max_recipients": 2, "idle_time": "0s"}, "store": {"commit_time": "2s"},
            "transports": {"smart": smart, "store": {"protocol": "lmtp", "hosts": [f"{hosts[0]}:{self.store.port}"]}},
            "lanes": {"moved": {"senders": ["nobody@nowhere.test"], "pool": "aside"}}, "pools": {"aside": {"addresses": [self.source]}},
            "tls": {"certificates": [certificate]}, "tls_out": {"ca": self.authority.ca}},
            listeners={"relay": {"role": "relay", "extensions": ["CHUNKING", "BINARYMIME"]}, "submission": {"role": "submission"},
                       "submissions": {"role": "submissions"}})
        self.armed = os.path.join(self.cluster.folder, "armed")
        os.mkdir(self.armed)
        for node in self.cluster.nodes:
            node.process.env["BARID_FAULT_DIR"] = self.armed
        for node in self.cluster.of("courier"):
            node.process.env["BARID_LANES_MOVED_SENDERS"] = f"@{MOVED}"
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
        self.store.__enter__()
        self.cluster.__enter__()
        self.redis = self.cluster.redis.client(socket_timeout=10)
        self.cluster.baridctl("tenant", "set", "shop", "queue_messages=1000", "queue_bytes=1GiB")
        self.cluster.add_user(*USER, "--tenant", "shop", "--senders", f"@{ORIGIN}")
        return self

    def __exit__(self, *rest):
        self.cluster.__exit__(*rest)
        self.sink.__exit__(*rest)
        self.store.__exit__(*rest)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _doors(self):
        """TLS of both kinds in turn."""
        listener, tls = ("submission", "starttls") if self.step.number % 2 else ("submissions", "implicit")
        return [Door(node.listeners[listener], tls, self.authority.client(), user=USER) for node in self.cluster.of("ingress")]

    # -- one step

    def walk(self, step):
        """(what happened to the message, [problems])."""
        self.step, self.fired, self.over_s = step, None, None
        self.generators = []
        self.since = Since(self.sink, self.store)
        self.first_fault = len(self.cluster.faults)
        self.logged = {node: len(node.process.log_text(all_starts=True)) for node in self.cluster.nodes}
        problems = []
        with Watch(lambda: self.cluster.redis.client(socket_timeout=10)) as watch:
            try:
                plot = "cut" if step.action == "cut" else _PLOTS.get(step.point.name, "plain")
                getattr(self, f"_{plot}")()
                self._end()
            except wait.Deadline as late:
                problems.append(str(late).partition("\n")[0])
            finally:
                for generator in self.generators:
                    generator.__exit__()
        problems += self._judge() + sorted(set(watch.wrong))
        return self._tell(), problems

    def _offer(self):
        """A message of the step's kind, to any ingress, until one has it."""
        name = f"{self.step.number}x{len(self.generators)}"
        who = {"success": "r", "deferral": "later", "failure": "no"}[self.step.outcome]
        recipients = {
            "single": [f"{who}{name}@{DOMAINS[0]}"],
            "two": [f"r{name}a@{DOMAINS[0]}", f"r{name}b@{DOMAINS[0]}", f"{who}{name}c@{DOMAINS[0]}"],
            "store": [f"r{name}a@{STORE}", f"r{name}b@{STORE}", f"{who}{name}c@{STORE}"],
            "moved": [f"{who}{name}@{DOMAINS[0]}"],
            "many": [f"r{name}@{DOMAINS[0]}", f"{who}{name}@{DOMAINS[1]}", f"r{name}@{DOMAINS[2]}"]}[self.step.shape]
        sender = f"s{name}@{MOVED if self.step.shape == 'moved' else ORIGIN}"
        is_submitted = self.step.size in SUBMITTED
        text = content(f"step{name}-0", sender, recipients, body=noise(SIZES[self.step.size]), is_bare=is_submitted)
        self.generators.append(Generator(self._doors() if is_submitted else self.cluster.addresses, lambda _: (sender, recipients, text),
                                         sessions=1, limit=1, prefix=f"step{name}", is_binary=self.step.size == "binary",
                                         chunked=1.0 if is_submitted else 0.0))
        self.generators[-1].start()

    # -- what is done

    def _arm(self, point, action, nth=1):
        with open(os.path.join(self.armed, f"{point}:{action}:{nth}"), "w", encoding="utf-8"):
            pass

    def _wait_fired(self, point, timeout=PATIENCE_S):
        """
        Waits until a node meets this fault; one that crashed is dead then. A message that is through without it is followed by another.
        """
        through_since = None

        def look():
            nonlocal through_since
            for node in self.cluster.nodes:
                for action, name, pid, at in FIRED.findall(node.process.log_text(all_starts=True)[self.logged[node]:]):
                    if name == point and int(pid) == node.pid:
                        return Fired(node, action, name, float(at))
            if not self._is_through():
                through_since = None
            elif through_since is None:
                through_since = time.monotonic()
            elif time.monotonic() > through_since + UNHURT_S and len(self.generators) < OFFERS_MAX:
                self._offer()
            return None
        fired = wait.until(look, timeout, f"a pass of {point}")
        kind = "kill" if fired.action == "crash" else "stop"
        fired.fault = self.cluster.faults.note(fired.node.role, fired.node.name, fired.node.pid, kind, lasting=True)
        fired.fault.at = fired.at
        if fired.action == "crash":
            fired.node.process.wait(10)
            fired.fault.end()
        if point == self.step.point.name:
            self.fired = fired
        return fired

    def _is_through(self):
        """All that was offered was taken, and has left the queue."""
        if not self.generators or any(generator._thread.is_alive() for generator in self.generators):
            return False
        try:
            return self._is_empty()
        except RedisError:  # it stands still
            return False

    def _plain(self):
        self._arm(self.step.point.name, self.step.action, self.step.nth)
        self._offer()
        self._recover(self._wait_fired(self.step.point.name))

    def _recover(self, fired):
        """A crashed node starts again; an ingress that stopped goes on when it is buried: its client waits for it."""
        if fired.action == "crash":
            self.cluster.restart(fired.node)
        elif fired.node.role == "ingress":
            self._wait_buried(fired.node)
            self._thaw(fired)

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

    def _offer_to_a_still_store(self):
        """
        Redis stands still when the commit is sent: before the message comes, or, when it comes in chunks, once it has the last one. A user is let
        in before.
        """
        if self.step.size != "small":
            point, nth = ("header_mended", 1) if self.step.size == "submitted" else ("chunk_written", CHUNKS)
            self._arm(point, "pause", nth)
            self._offer()
            stopped = self._wait_fired(point)
            self.cluster.redis.freeze()
            os.kill(stopped.node.pid, signal.SIGCONT)
            stopped.fault.end()
        else:
            self.cluster.redis.freeze()
            self._offer()
        return self.cluster.faults.note("redis", "redis", self.cluster.redis.pid, "stop", lasting=True)

    def _cut(self):
        """Redis stands still, the program crashes, Redis loses power: what was only sent is gone."""
        self._arm(self.step.point.name, "crash", self.step.nth)
        outage = self._offer_to_a_still_store()
        fired = self._wait_fired(self.step.point.name)
        self.cluster.redis.kill_and_cut()
        self.cluster.redis.start()
        outage.end()
        self._recover(fired)

    def _revoke(self):
        """Redis stands still longer than a commit is repeated."""
        first, name = "revoke_sent", self.step.point.name
        self._arm(first, self.step.action if name == first else "pause")
        outage = self._offer_to_a_still_store()
        fired = self._wait_fired(first)
        self.cluster.redis.thaw()
        outage.end()
        if name != first:
            self._arm(name, self.step.action)
            os.kill(fired.node.pid, signal.SIGCONT)
            fired.fault.end()
            fired = self._wait_fired(name)
        self._recover(fired)

    def _burial(self):
        """A courier dies with the message: the dispatcher that buries it or reaps its claim is hurt in turn."""
        self._arm("claim_received", "crash")
        self._arm(self.step.point.name, self.step.action, self.step.nth)
        self._offer()
        self._recover(self._wait_fired("claim_received"))
        self._recover(self._wait_fired(self.step.point.name))

    def _succession(self):
        """A dispatcher dies, and so does the one that takes its partitions."""
        self._offer()
        first = self.cluster.kill("dispatcher1")
        self._arm(self.step.point.name, self.step.action, self.step.nth)
        fired = self._wait_fired(self.step.point.name)
        self.cluster.restart(first)
        self._recover(fired)

    # -- the end of a step

    def _end(self):
        for generator in self.generators:
            generator.wait_done(PATIENCE_S)
        self._wait_empty()
        if self.fired.action == "pause" and self.fired.fault.ended_at is None:
            self._wait_buried(self.fired.node)
            self._thaw(self.fired)
            self._wait_empty()
        self.over_s = time.monotonic() - self.fired.at
        for node in self.cluster.nodes:
            wait.until(node.is_ready, PATIENCE_S, f"{node.name} ready")
        for key, ttl in Snapshot(self.redis).chunks.items():  # what a client abandons vanishes by itself, in ten minutes
            if ttl >= 0:
                self.redis.delete(key)

    def _wait_empty(self):
        wait.until(self._is_empty, PATIENCE_S, lambda: f"the end of all jobs: {Snapshot(self.redis).text()}")

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

    def _judge(self):
        problems = []
        self.items = [item for generator in self.generators for item in generator.items]
        ledger = Ledger(self.generators, [self.since], self.cluster.faults[self.first_fault:])
        self.copies, self.reports = ledger.copies, ledger.reports
        for problem in ledger.problems:
            # A courier that stops behind its check sends its dot when it goes on; the ledger cannot know that it had checked.
            if "delivered again" not in problem or (self.step.point.name, self.step.action) != ("dot_checked", "pause"):
                problems.append(problem)
        for node in self.cluster.nodes:
            if not node.process.alive():
                problems.append(f"{node.name} has ended with {node.process.returncode}")
        for item in self.items:
            for recipient in item.recipients:
                problems += self._judge_one(item.ledger_id, recipient)
        for transaction in self.since.taken():
            if transaction.sender.endswith(f"@{MOVED}") and transaction.session.peer[0] != self.source:
                problems.append(f"{transaction.ledger_id} came from {transaction.session.peer[0]}, not from the lane's pool")
        for transaction in self.since.taken() if self.step.size in SUBMITTED else []:
            fields = re.findall(rb"(?mi)^(?:Date|Message-ID):", transaction.content.partition(b"\r\n\r\n")[0])
            if transaction.sender and len(fields) != 2:
                problems.append(f"{transaction.ledger_id} was mended to {fields}")
        return problems

    def _judge_one(self, ledger_id, recipient):
        copies = self.copies.get((ledger_id, recipient), [])
        surplus = len(copies) - len({copy.message_id for copy in copies})
        if surplus > 0 and not self.step.has_open_dot:
            yield f"{recipient} has one message {surplus + 1} times, and no dot was open"
        if surplus > 1:
            yield f"{recipient} has one message {surplus + 1} times"
        if surplus > 0 and not self._reaped():
            yield f"{recipient} has one message {surplus + 1} times, and nobody counted it as in doubt"
        if recipient.startswith("no") != bool(self.reports.get((ledger_id, recipient))):
            yield f"{recipient} was reported {len(self.reports.get((ledger_id, recipient), []))} times"

    def _reaped(self):
        """How many jobs were taken back from the dead, each of them told to be in doubt."""
        return sum(int(jobs) for node in self.cluster.of("dispatcher")
                   for jobs in re.findall(r"event=reaped .*?jobs=(\d+)", node.process.log_text(all_starts=True)[self.logged[node]:]))

    def _tell(self):
        if not self.fired or self.over_s is None:
            return "nobody passed it" if not self.fired else f"{self.fired.node.name} was hurt; it did not end well"
        words = [f"{self.fired.node.name} {'stopped' if self.fired.action == 'pause' else 'died'}"]
        if len(self.items) > 1:
            words.append(f"at message {len(self.items)}")
        words.append(self._acceptance(self.items[-1]))
        if self._reaped():
            words.append(f"{self._reaped()} reaped")
        words += self._fates(self.items[-1])
        words.append(f"over after {self.over_s:.1f} s")
        return "; ".join(words)

    @staticmethod
    def _acceptance(item):
        failed = [attempt for attempt in item.attempts if attempt.outcome != TAKEN]
        if not failed:
            return "250"
        first = failed[0]
        why = first.reply[:3] if first.outcome == LATER else "no reply to the dot" if first.dot_at else "cut off before the dot"
        return f"{why}, offered again: 250"

    def _fates(self, item):
        fates = {}
        for recipient in item.recipients:
            copies = self.copies.get((item.ledger_id, recipient), [])
            reports = self.reports.get((item.ledger_id, recipient), [])
            messages = len({copy.message_id for copy in copies})
            fate = ["two messages, each delivered once" if messages == len(copies) == 2 else
                    "delivered once" if len(copies) == 1 else f"delivered {len(copies)} times: its dot was open"] if copies else []
            fate += ["reported once" if len(reports) == 1 else "two messages, each reported once"] if reports else []
            fates.setdefault(" and ".join(fate) or "LOST", []).append(recipient)
        return [fate if len(fates) == 1 else f"{len(names)} {fate}" for fate, names in fates.items()]


_PLOTS = {
    "revoke_sent": "revoke", "revoke_confirmed": "revoke",
    "bury_sent": "burial", "buried": "burial", "reaped": "burial",
    "lease_acquired": "succession",
}
