"""
Hosts that misbehave at each step of STARTTLS, AUTH and LMTP, and inside TLS, in every way: nothing is lost, nothing comes back that is not the
mail's own fault, and where TLS is a must neither mail nor a password is ever said without. misdeeds.py is the table.
"""

import base64
import re

import pytest
from misdeeds import DEEDS, EARLY, KINDS, PEOPLE, ROWS, action_of, fates_of, place_of, status_of
from post import Post

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import ScriptedSink

HOME = "127.0.0.9"
USER, PASSWORD = "ann", "correct horse battery"
LIMIT = "3s"
FLOODS = 4  # of each endless host, between two looks at the courier's memory
FLAT_KB = 24 << 10
PLAIN_WORDS = re.compile(rb"(?:(?:EHLO|LHLO) [\w.]+\r\n|STARTTLS\r\n|QUIT\r\n)*")


class Case:
    """A domain whose first host misbehaves; is_alone: it has no other, and goes on until it is mended."""

    def __init__(self, number, kind, step, deed, is_alone):
        self.kind, self.step, self.deed, self.is_alone = kind, step, deed, is_alone
        self.name = f"c{number}"
        self.domain = f"{self.name}.{kind.name}.test"
        self.first = f"127.{40 + list(KINDS).index(kind.name)}.{number // 200}.{number % 200 + 1}"
        self.recipients = [f"r{n}@{self.domain}" for n in range(PEOPLE)]
        self.rule = self.letter = None

    def __str__(self):
        return f"{self.kind.name} {self.step} {self.deed}"


def second_of(kind):
    return f"127.{40 + list(KINDS).index(kind.name)}.255.1"


def make_cases():
    found = []
    for kind, step in ROWS:
        for deed in DEEDS:
            found.append(Case(len(found), KINDS[kind], step, deed, False))
            if KINDS[kind].is_safe and step in EARLY and fates_of(KINDS[kind], step, deed)[0] == "other":
                found.append(Case(len(found), KINDS[kind], step, deed, True))
    return found


class Scene:
    """All cases, with a sink for each kind and one for reports."""

    def __init__(self, authority):
        self.cases = make_cases()
        pem = authority.issue("host.test")
        self.home = ScriptedSink([HOME])
        self.sinks = {kind.name: ScriptedSink(
            [case.first for case in self.cases if case.kind is kind] + [second_of(kind)], tls=pem if kind.tls != "none" else None,
            is_lmtp=kind.is_lmtp, users={USER: PASSWORD} if kind.mechanism else None, mechanisms=[kind.mechanism] if kind.mechanism else ())
            for kind in KINDS.values()}
        routes, transports = {"origin.test": f"{HOME}:{self.home.port}"}, {}
        for case in self.cases:
            port = self.sinks[case.kind.name].port
            hosts = [f"{case.first}:{port}"] + ([] if case.is_alone else [f"{second_of(case.kind)}:{port}"])
            routes[case.domain] = case.name if case.kind.has_transport else ", ".join(hosts)
            if case.kind.has_transport:
                transports[case.name] = {"protocol": "lmtp" if case.kind.is_lmtp else "smtp", "hosts": hosts, "tls": case.kind.tls,
                                         **({"user": USER, "password": PASSWORD} if case.kind.mechanism else {})}
        self.cluster = Cluster(settings={
            "courier": {"routes": routes, "idle_time": "0s", "connections": 2000,
                        **{f"{name}_timeout": LIMIT for name in ("greeting", "command", "data", "dot", "block")}},
            "transports": transports, "retry": {"first": "500ms", "longest": "2s", "lifetime": "1h"},
            "tls_out": {"ca": authority.ca, "handshake_timeout": LIMIT,
                        "policies": {f".{kind.name}.test": kind.tls for kind in KINDS.values() if not kind.has_transport}},
            "dispatcher": {"pause_first": "500ms", "pause_longest": "2s"}})
        self.post = Post(self.cluster, self)

    def taken(self):
        return [transaction for sink in (self.home, *self.sinks.values()) for transaction in sink.taken()]

    def arm(self, case):
        stage, match = place_of(case.kind, case.step)
        where = {"recipient": case.recipients[match]} if isinstance(match, int) else {"match": match}
        case.rule = self.sinks[case.kind.name].rule(stage, action_of(case.step, case.deed), host=case.first,
                                                    times=None if case.step in EARLY else 1, **where)

    def mend(self):
        for case in self.cases:
            if case.is_alone:
                self.sinks[case.kind.name].clear(case.rule)

    def sessions(self, case):
        return [session for session in self.sinks[case.kind.name].sessions if session.host == case.first]

    def of(self, kind, step, is_alone):
        return [case for case in self.cases if (case.kind.name, case.step, case.is_alone) == (kind, step, is_alone)]

    def courier_kb(self):
        with open(f"/proc/{self.cluster.of('courier')[0].pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))

    # -- what became of a recipient

    def told(self, case, recipient):
        """{event: [its lines]}"""
        events = {}
        for line in self.post.told(case.letter):
            if line.get("to") == recipient:
                events.setdefault(line["event"], []).append(line)
        return events

    def judge(self, case):
        """What is not as the table has it."""
        for recipient, fate in zip(case.recipients, fates_of(case.kind, case.step, case.deed)):
            for wrong in self._judge_one(case, recipient, fate):
                yield f"{case}: {recipient} should be {fate}: {wrong}; {self.told(case, recipient)}"

    def _judge_one(self, case, recipient, fate):
        copies, events = self.post.copies(case.letter, recipient), self.told(case, recipient)
        if fate == "returned":
            if copies or not any(recipient in report for report in self.returned(case)):
                yield f"{len(copies)} copies, reports {self.returned(case)}"
            return
        if self.returned(case) and any(recipient in report for report in self.returned(case)):
            yield "it was returned"
        if len(copies) != 1 and not (fate == "doubt" and len(copies) == 2):
            yield f"{len(copies)} copies"
            return
        if ("in_doubt" in events) != (fate == "doubt"):
            yield "doubt is not told as it is"
        if fate in ("later", "doubt"):
            if [line["attempt"] for line in events.get("deferred", [])] != ["1"] or not events.get("delivered"):
                yield "it should have been put off once"
            return
        if "deferred" in events or events["delivered"][0]["attempt"] != "1":
            yield "it took another attempt"
        session = copies[0].session
        if session.host != (second_of(case.kind) if fate == "other" else case.first):
            yield f"it went to {session.host}"
        if bool(session.tls) != (fate != "plain" and case.kind.tls != "none"):
            yield f"TLS: {session.tls}"

    def returned(self, case):
        return [[one.recipient for one in found] for found in self.reports() if found and found[0].ledger_id == case.letter.ledger_id]

    def reports(self):
        from harness.ledger import parse_reports
        return [parse_reports(transaction.content) for transaction in self.home.taken()]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    scene = Scene(Authority(str(tmp_path_factory.mktemp("authority"))))
    with scene.home:
        for sink in scene.sinks.values():
            sink.start()
        try:
            with scene.cluster:
                for case in scene.cases:
                    scene.arm(case)
                letters = scene.post.send_many([case.recipients for case in scene.cases])
                for case, letter in zip(scene.cases, letters):
                    case.letter = letter
                yield scene
        finally:
            for sink in scene.sinks.values():
                sink.stop()


# proves: H06 H07 H09 H13 H20 H24 L02 L03 I13
@pytest.mark.parametrize("kind, step", ROWS)
def test_each_recipient_has_the_outcome_it_should(scene, kind, step):
    wrong = []
    for case in scene.of(kind, step, False):
        ended = [event for fate in fates_of(case.kind, step, case.deed) for event in ("bounced" if fate == "returned" else "delivered",)]
        for recipient, event in zip(case.recipients, ended):
            wait.until(lambda: event in scene.told(case, recipient), 30,
                       lambda: f"{case}: {recipient} {event}; {scene.told(case, recipient)}")
        if "bounced" in ended:
            wait.until(lambda: scene.returned(case), 30, f"a report of {case}")
        wrong += scene.judge(case)
    assert wrong == []
