"""
Hosts that misbehave at each step of STARTTLS, AUTH and LMTP, and inside TLS, in every way: nothing is lost, nothing comes back that is not the
mail's own fault, and where TLS is a must neither mail nor a password is ever said without. misdeeds.py is the table.
"""

import base64
import os
import re

import pytest
from misdeeds import EARLY, KINDS, PEOPLE, ROWS, action_of, deeds_of, fates_of, place_of, status_of
from post import Post, parse_line

from harness import wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.ledger import Ledger, parse_reports
from harness.sink import ScriptedSink

HOME = "127.0.0.9"
USER, PASSWORD = "ann", "correct horse battery"
LIMIT = "3s"
FLOODS = 3  # of each endless host, between two looks at the courier's memory
FLAT_KB = 8 << 10
SANITIZER = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"  # what is freed counts as freed
PLAIN_WORDS = re.compile(rb"(?:(?:EHLO|LHLO) [\w.]+\r\n)?(?:STARTTLS\r\n(?:\x16\x03.*)?|\x16\x03.*)?(?:QUIT\r\n)?", re.DOTALL)  # and a handshake


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
        for deed in deeds_of(step):
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
            is_lmtp=kind.is_lmtp, is_wrapped=kind.protocol == "smtps", users={USER: PASSWORD} if kind.mechanism else None,
            mechanisms=[kind.mechanism] if kind.mechanism else ())
            for kind in KINDS.values()}
        routes, transports = {"origin.test": f"{HOME}:{self.home.port}"}, {}
        for case in self.cases:
            port = self.sinks[case.kind.name].port
            hosts = [f"{case.first}:{port}"] + ([] if case.is_alone else [f"{second_of(case.kind)}:{port}"])
            routes[case.domain] = case.name if case.kind.has_transport else ", ".join(hosts)
            if case.kind.has_transport:
                transports[case.name] = {"protocol": case.kind.protocol, "hosts": hosts, "tls": case.kind.tls,
                                         **({"user": USER, "password": PASSWORD} if case.kind.mechanism else {})}
        self.cluster = Cluster(environment={"ASAN_OPTIONS": SANITIZER}, settings={
            "courier": {"routes": routes, "idle_time": "0s", "connections": 2000,
                        **{f"{name}_timeout": LIMIT for name in ("greeting", "command", "data", "dot", "block")}},
            "transports": transports, "retry": {"first": "500ms", "longest": "3s", "lifetime": "1h"},
            "tls_out": {"ca": authority.ca, "handshake_timeout": LIMIT,
                        "policies": {f".{kind.name}.test": kind.tls for kind in KINDS.values() if not kind.has_transport}},
            "dispatcher": {"pause_first": "1s", "pause_longest": "3s"}})
        self.post = Post(self.cluster, self)
        self._read, self._lines = 0, {}

    def taken(self):
        return [transaction for sink in (self.home, *self.sinks.values()) for transaction in sink.taken()]

    def arm(self, case):
        stage, match = place_of(case.kind, case.step, case.deed)
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
        """{event: [its lines]}: what the courier logged since it began is read once."""
        with open(self.cluster.of("courier")[0].process.log, encoding="utf-8") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith("\n"):
                    break
                self._read += len(line.encode())
                fields = parse_line(line)
                if "to" in fields:
                    self._lines.setdefault(fields["to"], {}).setdefault(fields["event"], []).append(fields)
        return self._lines.get(recipient, {})

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


# proves: H06 H07 H20 H24 L02 L03
@pytest.mark.parametrize("kind, step", [row for row in ROWS if KINDS[row[0]].is_safe and row[1] in EARLY])
def test_what_no_host_may_have_waits_and_is_never_returned(scene, kind, step):
    for case in scene.of(kind, step, True):
        for recipient in case.recipients:
            wait.until(lambda: "deferred" in scene.told(case, recipient), 30, f"{case}: {recipient} deferred")
            events = scene.told(case, recipient)
            assert set(events) == {"deferred"}, (str(case), events)
            assert all(line["status"].startswith(status_of(step, case.deed)) for line in events["deferred"]), (str(case), events["deferred"][-1])
        assert not any(command.startswith("MAIL") for session in scene.sessions(case) for command in session.commands)


# proves: H07
def test_memory_is_flat_however_much_hosts_say(scene):
    def wait_flooded(times):
        begun = {case: len(scene.sessions(case)) for case in floods}
        for case in floods:
            wait.until(lambda: len(scene.sessions(case)) >= begun[case] + times, 60, f"{times} more floods: {case}")

    floods = [case for case in scene.cases if case.is_alone and case.deed == "endless"]
    wait_flooded(1)
    before = scene.courier_kb()
    wait_flooded(FLOODS)
    grown = scene.courier_kb() - before
    print(f"{len(floods)} endless hosts, {FLOODS} floods of each: {before} kB, then {grown:+d} kB")
    assert grown < FLAT_KB


# proves: A05 H13 H20 L03
def test_all_is_delivered_once_hosts_are_mended_and_nothing_was_said_in_plain(scene):
    scene.mend()
    scene.cluster.wait_empty(60)
    for case in scene.cases:
        if case.is_alone:
            copies = [scene.post.copies(case.letter, recipient) for recipient in case.recipients]
            assert [[(copy.session.host, bool(copy.session.tls)) for copy in found] for found in copies] == [[(case.first, True)]] * PEOPLE, str(case)
            assert scene.returned(case) == []
    secrets = [form for text in (PASSWORD, f"\0{USER}\0{PASSWORD}", USER) for form in (text.encode(), base64.b64encode(text.encode()))]
    for kind in KINDS.values():
        for session in scene.sinks[kind.name].sessions if kind.is_safe else []:
            assert PLAIN_WORDS.fullmatch(session.plain), (session.host, session.plain[:200])
            assert not any(secret in session.plain for secret in secrets)
    ledger = Ledger([scene.post], [scene], scene.cluster.faults)
    print(ledger.text())
    ledger.assert_balanced()
    assert scene.cluster.of("courier")[0].process.alive()
