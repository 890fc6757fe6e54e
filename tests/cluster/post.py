"""
Single messages for tests that look at each of them: sent over SMTP, followed in the couriers' logs, found at the sink or come back as a
report. A Post keeps what it sent as the generator does, so that a module's last word is the ledger's.
"""

import email
import email.policy
import re
import smtplib
import threading
import time

from harness import wait
from harness.generator import REFUSED, TAKEN, Attempt, Item
from harness.ledger import Ledger, final_recipient, parse_reports, report_blocks

_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_SENDER = "s@origin.test"


def parse_line(line):
    """The fields of a log line, quotes taken off."""
    return {key: value[1:-1].replace('\\"', '"').replace("\\\\", "\\") if value.startswith('"') else value
            for key, value in _FIELD.findall(line)}


class Letter(Item):
    """A message that was taken: the id it got, and when."""

    message_id = None
    sent_at = None


class Report:
    """A notification that arrived: its message as a MIME library reads it, and its parts."""

    def __init__(self, transaction):
        self.transaction = transaction
        self.message = email.message_from_bytes(transaction.content, policy=email.policy.SMTP)
        self.parts = self.message.get_payload()
        self.words = self.parts[0].get_content() if self.message.is_multipart() else ""
        self.blocks = report_blocks(self.parts[1])
        self.original = self.parts[2]

    @property
    def per_message(self):
        return self.blocks[0]

    def of(self, recipient):
        """The block of a recipient."""
        return next(block for block in self.blocks[1:] if final_recipient(block) == recipient)

    @property
    def recipients(self):
        return [final_recipient(block) for block in self.blocks[1:]]


class Post:
    """Messages through a cluster to a sink."""

    def __init__(self, cluster, sink, prefix="post"):
        self.cluster, self.sink, self.prefix = cluster, sink, prefix
        self.items, self.dropped = [], set()
        self._lock = threading.Lock()

    # -- what the ledger wants to know

    def acknowledged(self):
        return {(item.ledger_id, recipient) for item in self.items for recipient in item.acknowledged}

    def summary(self):
        return f"{len(self.items)} letters"

    def assert_balanced(self, held=0, timeout=30):
        """The queue is empty but for what is held, and every recipient is accounted for."""
        self.cluster.wait_empty(timeout, held=held)
        return Ledger([self], [self.sink], self.cluster.faults, dropped=self.dropped, held=held).assert_balanced()

    # -- sending

    def letter(self, recipients, sender=_SENDER, body=b"body\r\n", header=b""):
        recipients = [recipients] if isinstance(recipients, str) else list(recipients)
        with self._lock:
            name = f"{self.prefix}-{len(self.items)}"
            content = b"X-Ledger-Id: " + name.encode() + b"\r\n" + header + b"\r\n" + body
            item = Letter(name, sender, recipients, content)
            self.items.append(item)
        return item

    def send(self, recipients, sender=_SENDER, body=b"body\r\n", header=b"", options=(), wishes=()):
        """One message over a connection of its own, with parameters of MAIL and, for all recipients, of RCPT; returns its Letter."""
        letter = self.letter(recipients, sender, body, header)
        with smtplib.SMTP(*self.cluster.addresses[0], timeout=60) as client:
            client.ehlo("client.test")
            self.hand_over(client, letter, options, wishes)
        return letter

    def send_many(self, recipients, **more):
        """One message to each, over one connection; returns their Letters."""
        letters = [self.letter(recipient, **more) for recipient in recipients]
        with smtplib.SMTP(*self.cluster.addresses[0], timeout=60) as client:
            client.ehlo("client.test")
            for letter in letters:
                self.hand_over(client, letter)
        return letters

    @staticmethod
    def hand_over(client, letter, options=(), wishes=()):
        attempt = Attempt(0, None, letter.recipients)
        letter.attempts.append(attempt)
        assert client.mail(letter.sender, list(options))[0] == 250
        for recipient in letter.recipients:
            code, text = client.rcpt(recipient, list(wishes))
            assert code == 250, (recipient, code, text)
        if "BODY=BINARYMIME" in options:
            letter.sent_at = attempt.dot_at = time.monotonic()
            client.sock.sendall(b"BDAT %d LAST\r\n" % len(letter.content) + letter.content)
        else:
            assert client.docmd("DATA")[0] == 354
            stuffed = (b"\r\n" + letter.content).replace(b"\r\n.", b"\r\n..")[2:]
            letter.sent_at = attempt.dot_at = time.monotonic()
            client.sock.sendall(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        code, text = client.getreply()
        attempt.outcome = TAKEN if code == 250 else REFUSED
        assert code == 250, (code, text)
        letter.message_id = re.search(rb"queued as ([0-9A-Z]{26})", text).group(1).decode()
        for recipient in letter.recipients:
            letter.acknowledged[recipient] = time.monotonic()
        letter.pending.clear()

    # -- what became of it

    def copies(self, letter, recipient=None):
        """The transactions that brought it, in order."""
        return [t for t in self.sink.taken() if t.sender != "" and t.ledger_id == letter.ledger_id
                and (recipient is None or recipient in t.recipients)]

    def wait_delivered(self, letter, recipient=None, timeout=30):
        """The first transaction that brought it."""
        return wait.until(lambda: next(iter(self.copies(letter, recipient)), None), timeout,
                          lambda: f"{letter.ledger_id} delivered; {self.told(letter)[-3:]}")

    def reports(self, letter):
        return [t for t in self.sink.taken() if t.sender == "" and any(r.ledger_id == letter.ledger_id for r in parse_reports(t.content))]

    def wait_returned(self, letter, timeout=30):
        """The first report about it."""
        return Report(wait.until(lambda: next(iter(self.reports(letter)), None), timeout,
                                 lambda: f"a report about {letter.ledger_id}; {self.told(letter)[-3:]}"))

    def told(self, letter, event=None, role="courier"):
        """What the nodes of a role logged of it, in order of time: [{field: text}]."""
        found = []
        for node in self.cluster.of(role):
            for line in node.process.log_text(all_starts=True).splitlines():
                if letter.message_id and letter.message_id in line:
                    fields = parse_line(line)
                    if event in (None, fields.get("event")):
                        found.append((line[:24], fields))
        return [fields for _, fields in sorted(found, key=lambda one: one[0])]

    def wait_told(self, letter, event, count=1, timeout=30):
        """Waits for `count` lines of that event; returns them all."""
        return wait.until(lambda: (lambda found: found if len(found) >= count else None)(self.told(letter, event)), timeout,
                          lambda: f"{count} {event} of {letter.ledger_id}; {self.told(letter)[-3:]}")

    def wait_settled(self, letter, timeout=30):
        """Nothing of it is left in the queue. Returns all that was logged of it."""
        self.cluster.wait_empty(timeout)
        return self.told(letter)


def most_at_once(sessions):
    """How many of these sessions of a sink were open at the same time."""
    most = now = 0
    for _, change in sorted([(s.opened_at, 1) for s in sessions] + [(s.closed_at, -1) for s in sessions if s.closed_at]):
        now += change
        most = max(most, now)
    return most


class Place:
    """A domain with a first host and a second one that is worse, both its own: what a test does to them hurts no other."""

    def __init__(self, number):
        self.number = number
        self.domain = f"place{number}.test"
        self.first, self.second = f"127.0.1.{number}", f"127.0.2.{number}"

    def address(self, name="r"):
        return f"{name}@{self.domain}"


class Places:
    """So many of them, handed out one by one; reports go to a host of their own."""

    HOME = "127.0.0.9"

    def __init__(self, count):
        self.all = [Place(number + 1) for number in range(count)]
        self._free = iter(self.all)

    def hosts(self):
        return [self.HOME] + [host for place in self.all for host in (place.first, place.second)]

    def routes(self, port):
        """Static routes, so that no DNS is in the way."""
        return {"origin.test": f"{self.HOME}:{port}", **{place.domain: f"{place.first}:{port}, {place.second}:{port}" for place in self.all}}

    def take(self):
        return next(self._free)
