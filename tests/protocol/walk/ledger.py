"""What was promised, what left, what was recorded. Every rule about mail that a walk checks is here."""

from dataclasses import dataclass, field

from protocol.calls import Partition

TAGS = ["0", "1", "2", "3"]
DOMAINS = ["a.x", "b.x", "c.x", "d.x", "e.x", "f.x", "g.x"]
PARTS = {tag: Partition(tag) for tag in TAGS}


LANES = ["", "/bulk", "/slow"]


def lane(sender, epoch):
    """What settings of that time say of a sender's mail."""
    return LANES[((DOMAINS.index(sender) if sender else 7) + epoch) % len(LANES)]


def home(domain):
    """The partition of a domain's queues, whatever their lane."""
    return PARTS[TAGS[DOMAINS.index(domain.split("/")[0]) % len(TAGS)]]


@dataclass
class Message:
    sender: str  # a domain, None: the null sender
    jobs: dict  # recipient -> the jobs that carry it, parent included
    report_of: str = None
    state: str = "open"  # accepted, refused (451, and nothing of it may leave), doubtful (451)
    poison: bool = False


@dataclass
class Copy:
    job: str
    token: str
    is_recorded: bool = False
    reply_lost: bool = False


@dataclass
class Fate:
    """What is known of one recipient of one message."""

    copies: list = field(default_factory=list)
    delivered: int = 0  # recorded
    failed: int = 0
    reports: int = 0


class Ledger:
    def __init__(self, world):
        self.world = world
        self.messages = {}
        self.fates = {}
        self.deleted = set()  # jobs that are gone by order: nothing of them may leave any more
        self.ordered_away = set()  # jobs that an order may have ended
        self.reaped = set()  # jobs, and tokens, of the dead
        self.buried = set()  # incarnations

    def new_message(self, sender, jobs, report_of=None, poison=False):
        name = f"M{len(self.messages) + 1}"
        jobs = {who: {name + job for job in some} for who, some in jobs.items()}
        self.messages[name] = Message(sender, jobs, report_of, poison=poison)
        return name

    def fate(self, message, recipient):
        return self.fates.setdefault((message, recipient), Fate())

    def refuse(self, message):
        """451, and the commit is taken back: nothing may leave, ever."""
        self.messages[message].state = "refused"
        if any(name == message and fate.copies for (name, _), fate in self.fates.items()):
            self.world.fail(f"taken back, but sent: {message}")

    # ---- a courier sends a dot and gets its reply

    def send(self, message, recipient, job, token, incarnation):
        """A copy leaves. Second ones only where SMTP cannot prevent them."""
        fail, count = self.world.fail, self.world.counts
        if self.messages[message].state == "refused":
            fail(f"sent after a clean 451: {message}")
        if job in self.deleted:
            fail(f"sent after it was deleted: {job}")
        if incarnation in self.buried:
            fail(f"the buried {incarnation} sent a dot for {job}")
        fate = self.fate(message, recipient)
        if fate.delivered or fate.failed:
            fail(f"sent after its verdict was recorded: {message} {recipient}")
        for copy in fate.copies:
            if copy.reply_lost:
                count["second copy: reply lost"] += 1
            elif copy.token in self.reaped or copy.job in self.reaped:
                count["second copy: reaped"] += 1
            else:
                fail(f"second copy without reason: {message} {recipient} after {copy}")
        copy = Copy(job, token)
        fate.copies.append(copy)
        return copy

    def reap(self, job, token):
        if token.split(".")[0] not in self.buried:
            self.world.fail(f"reaped from the living: {job} {token}")
        self.reaped |= {job, token}
        self.world.counts["reaped"] += 1

    # ---- a settle was executed

    def refuse_settle(self, job, token, answer):
        """The first run of a settle is refused only to those who were reaped, or whose job an order ended."""
        if token not in self.reaped and job not in self.deleted | self.ordered_away:
            self.world.fail(f"{answer} for the claim {token} of {job}, which nobody took away")

    def record(self, message, delivered, failed, copies, report):
        for copy in copies:
            copy.is_recorded = True
        for who, what in [(who, "delivered") for who in delivered] + [(who, "failed") for who in failed]:
            fate = self.fate(message, who)
            if fate.delivered or fate.failed:
                self.world.fail(f"second verdict: {message} {who}")
            setattr(fate, what, 1)
        if report:
            self.messages[report].state = "accepted"
            self.world.counts["reports"] += 1
            for who in failed:
                self.fate(message, who).reports += 1

    # ---- at the end, when nothing may be left

    def close(self):
        for message, known in self.messages.items():
            if known.state == "accepted":
                for recipient, jobs in known.jobs.items():
                    self._close(message, known, recipient, jobs)

    def _close(self, message, known, recipient, jobs):
        fate = self.fate(message, recipient)
        count, fail = self.world.counts, self.world.fail
        if fate.failed:
            due = 0 if known.sender is None else 1
            if fate.reports != due:
                fail(f"a failure was reported {fate.reports} times, not {due}: {message} {recipient}")
            count["recipients failed"] += 1
        elif fate.delivered:
            count["recipients delivered"] += 1
        elif jobs & (self.deleted | self.ordered_away):
            count["recipients gone by order"] += 1
        else:
            fail(f"lost: {message} {recipient}")
