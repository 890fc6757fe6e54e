"""
The ledger that every cluster test ends with, per recipient: acknowledged = delivered + reported + dropped +
queued + held; nothing lost; every second copy matched to a dot that was open at a fault. Counted at the
generator and at the sinks, never in the programs under test.
"""

import email
import email.policy
import re
import time


_CLIENT = "the client's reply to its dot was lost or temporary"
_HARMLESS_STOP_S = 1.5  # nobody is buried for that, unless Redis was away too
_READ_LATE_S = 1.0  # so much later than it came a busy sink may read a dot


class Fault:
    """Something done to a process. ended_at is None while it lasts; a kill is over at once."""

    def __init__(self, role, name, pid, kind, at, ended_at):
        self.role, self.name, self.pid, self.kind = role, name, pid, kind
        self.at, self.ended_at = at, ended_at

    def end(self):
        self.ended_at = time.monotonic()

    def is_shorter(self, seconds):
        return self.ended_at is not None and self.ended_at - self.at < seconds

    def overlaps(self, begin, end):
        return self.at <= end and (self.ended_at is None or self.ended_at >= begin)

    def __str__(self):
        return f"{self.kind} {self.name} (pid {self.pid}) at {self.at:.3f}"


class Faults(list):
    """The faults of a test, in order."""

    def note(self, role, name, pid, kind="kill", lasting=False):
        """lasting: until .end() of what is returned (a frozen process, a Redis that is away)."""
        now = time.monotonic()
        fault = Fault(role, name, pid, kind, now, None if lasting else now)
        self.append(fault)
        return fault


class Copy:
    """One delivery to one recipient."""

    def __init__(self, transaction):
        self.dot_at, self.replied_at = transaction.dot_at, transaction.replied_at
        self.opened_at, self.closed_at = transaction.session.opened_at, transaction.session.closed_at
        self.courier = (transaction.session.helo or "").partition(".")[0]
        self.message_id = transaction.message_id
        self.reply_lost = transaction.replied_at is None or str(transaction.reply)[:1] != "2"

    def __str__(self):
        replied = "no reply" if self.replied_at is None else f"replied {self.replied_at:.3f}"
        closed = "open" if self.closed_at is None else f"closed {self.closed_at:.3f}"
        return f"message {self.message_id} of {self.courier}, dot {self.dot_at:.3f}, {replied}, connection {closed}"


class Report:
    """A DSN that came back: for which recipient of which ledger id."""

    def __init__(self, ledger_id, recipient, action, status):
        self.ledger_id, self.recipient, self.action, self.status = ledger_id, recipient, action, status


def report_blocks(part):
    """The groups of fields of message/delivery-status, or of message/global-delivery-status, which the MIME library does not know."""
    if part.get_content_type() == "message/delivery-status":
        return [group for group in part.get_payload() if group.keys()]
    text = part.get_payload()[0].as_bytes().replace(b"\r\n", b"\n").decode("utf-8")
    return [email.message_from_string(group) for group in text.split("\n\n") if group.strip()]


def final_recipient(group):
    """The address, whatever its type (RFC 6533 section 3)."""
    address = str(group["Final-Recipient"]).partition(";")[2].strip()
    return re.sub(r"\\x\{([0-9A-F]+)\}", lambda found: chr(int(found.group(1), 16)), address)


def parse_reports(content):
    """The recipients a DSN tells of; [] when the content is no DSN."""
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    if message.get_content_type() != "multipart/report" or not message.is_multipart():
        return []
    ledger_id, groups = None, []
    for part in message.get_payload():  # not deeper: the original may hold messages of its own
        kind = part.get_content_type()
        if kind in ("message/delivery-status", "message/global-delivery-status"):
            groups = [group for group in report_blocks(part) if group["Final-Recipient"]]
        elif kind in ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers"):
            inner = part.get_payload()
            if isinstance(inner, list):
                ledger_id = inner[0]["X-Ledger-Id"]
            else:
                ledger_id = email.message_from_string(inner)["X-Ledger-Id"]
    if ledger_id is None and str(message["From"]).count("<double-bounce@"):
        return []  # about a report of ours, which the ledger never saw
    return [Report(ledger_id and ledger_id.strip(), final_recipient(group),
                   (group["Action"] or "").strip().lower(), (group["Status"] or "").strip())
                   for group in groups]


class Ledger:
    """
    generators and sinks: as in this package. faults: a Faults. dropped: {(ledger id, recipient)} dropped by
    rule or null sender. queued, held: recipients still in the queue, counted there. settle_s: how long after
    a remote's reply the settle may take while nothing is broken.
    """

    def __init__(self, generators, sinks, faults=(), dropped=(), queued=0, held=0, settle_s=1.0):
        self.generators, self.sinks, self.faults = list(generators), list(sinks), list(faults)
        self.dropped, self.queued, self.held, self.settle_s = set(dropped), queued, held, settle_s
        self.items = {item.ledger_id: item for generator in self.generators for item in generator.items}
        self.acknowledged = set().union(*[generator.acknowledged() for generator in self.generators])
        self.problems = []
        self.copies, self.reports = self._collect()
        self.explained = []
        self._check()

    def _collect(self):
        copies, reports = {}, {}
        for sink in self.sinks:
            for transaction in sink.taken():
                if transaction.is_whole is False:
                    self.problems.append(f"{transaction.ledger_id} to {transaction.recipients} arrived damaged")
                if transaction.sender == "" and transaction.ledger_id not in self.items:
                    for report in parse_reports(transaction.content):
                        if report.action == "failed":
                            key = (report.ledger_id, report.recipient)
                            reports.setdefault(key, []).append((report, Copy(transaction)))
                    continue
                for recipient in transaction.recipients:
                    copies.setdefault((transaction.ledger_id, recipient), []).append(Copy(transaction))
        for found in copies.values():
            found.sort(key=lambda copy: copy.dot_at)
        for found in reports.values():
            found.sort(key=lambda report: report[1].dot_at)
        return copies, reports

    # -- the checks

    def _check(self):
        ended = set(self.copies) | set(self.reports) | self.dropped
        self.missing = sorted(self.acknowledged - ended)
        self.lost = len(self.missing) - self.queued - self.held
        if self.lost > 0:
            self.problems.append(f"{self.lost} lost, e.g. "
                                 + ", ".join(f"{i} to {r}" for i, r in self.missing[:5]))
        elif self.lost < 0:
            self.problems.append(f"the queue tells of {self.queued} queued and {self.held} held, "
                                 f"but only {len(self.missing)} are missing")
        for key in sorted(set(self.copies) | set(self.reports), key=str):
            self._check_one(key)

    def _check_one(self, key):
        ledger_id, recipient = key
        item = self.items.get(ledger_id)
        if item is None or recipient not in item.recipients:
            self.problems.append(f"{ledger_id} to {recipient}: arrived, but was never sent")
            return
        copies, reports = self.copies.get(key, []), [copy for _, copy in self.reports.get(key, [])]
        commits = (1 if recipient in item.acknowledged else 0) + item.in_doubt(recipient)
        by_message = {}
        for copy in copies:
            by_message.setdefault(copy.message_id, []).append(copy)
        # Each commit is one message id. More ids than dots the client had a right to repeat: made up at the
        # door.
        if len(by_message) > commits:
            self.problems.append(
                f"{ledger_id} to {recipient}: {len(by_message)} messages from {commits} possible commits")
        for message_id, same in by_message.items():
            # Without an id, copies of different commits cannot be told from each other.
            free = 1 if message_id is not None else max(1, commits)
            self.explained += [(key, _CLIENT)] * (min(free, len(same)) - 1)
            for place in range(len(same) - free):
                self._explain(key, message_id, same[place], same[place + 1])
        self.explained += [(key, _CLIENT)] * (len(by_message) - 1)
        self._check_reports(key, copies, reports, commits)

    def _check_reports(self, key, copies, reports, commits):
        if len(reports) > commits and not all(self.excuse(report) for report in reports[:-1]):
            self.problems.append(f"{key[0]} to {key[1]}: reported {len(reports)} times")
        if copies and reports and commits < 2 and not any(self.excuse(copy) for copy in copies):
            self.problems.append(f"{key[0]} to {key[1]}: delivered and also reported as failed")

    def _explain(self, key, message_id, copy, following):
        excuse = self.excuse(copy)
        if excuse:
            self.explained.append((key, excuse))
        else:
            self.problems.append(
                f"{key[0]} to {key[1]}: message {message_id} was delivered again without a fault: "
                f"first {copy}; then {following}")

    def excuse(self, copy):
        """Why this copy may have a successor, or None."""
        if copy.reply_lost:
            return "the reply to the dot was lost or was not 250"
        begin, end = copy.dot_at, copy.replied_at + self.settle_s
        # A verdict cannot be settled while Redis is away, so a dot stays open until it is back.
        for fault in self.faults:
            if fault.role == "redis" and fault.overlaps(begin, end):
                end = float("inf") if fault.ended_at is None else max(end, fault.ended_at + self.settle_s)
        for fault in self.faults:
            if fault.role == "courier" and self._may_be_of(copy, fault) and fault.overlaps(begin - _READ_LATE_S, end):
                if fault.kind == "kill" and not self._ended_by(copy, fault):
                    continue
                if fault.kind == "stop" and fault.is_shorter(_HARMLESS_STOP_S) and end == copy.replied_at + self.settle_s:
                    continue
                return f"the dot was open at: {fault}"
        return None

    @staticmethod
    def _may_be_of(copy, fault):
        """A courier of a Cluster says its name in EHLO; another one's fault explains nothing."""
        return copy.courier == fault.name or not copy.courier.startswith("courier")

    @staticmethod
    def _ended_by(copy, fault):
        """
        Whether the connection was the killed process'. Where couriers tell their names, it was opened before; else
        it closed at once, and one that lived on belonged to another. (A stalled sink sees the end later.)
        """
        if copy.courier == fault.name:
            return copy.opened_at <= fault.ended_at + _READ_LATE_S / 5
        return copy.closed_at is not None and copy.closed_at <= max(fault.at, copy.replied_at) + _READ_LATE_S

    # -- for the test

    def text(self):
        delivered = sum(1 for key in self.acknowledged if key in self.copies)
        reported = sum(1 for key in self.acknowledged if key in self.reports and key not in self.copies)
        dropped = sum(1 for key in self.acknowledged if key in self.dropped and key not in self.copies
                      and key not in self.reports)
        surplus = sum(len(copies) - 1 for copies in self.copies.values())
        kinds = {}
        for fault in self.faults:
            kinds[(fault.kind, fault.role)] = kinds.get((fault.kind, fault.role), 0) + 1
        lines = [
            f"acknowledged {len(self.acknowledged)} = delivered {delivered} + reported {reported}"
            f" + dropped {dropped} + queued {self.queued} + held {self.held}; lost {max(0, self.lost)}",
            f"second copies {surplus}, explained {len(self.explained)}; problems {len(self.problems)}",
            "faults: " + (", ".join(f"{n} x {kind} {role}" for (kind, role), n in sorted(kinds.items()))
                          or "none")]
        lines += [generator.summary() for generator in self.generators]
        lines += [f"  {problem}" for problem in self.problems[:20]]
        if len(self.problems) > 20:
            lines.append(f"  ... and {len(self.problems) - 20} more")
        return "\n".join(lines)

    def assert_balanced(self):
        """Raises with the whole text unless everything is accounted for."""
        if self.problems:
            raise AssertionError("the ledger does not balance\n" + self.text())
        return self
