"""Calls of the scripts: keys and arguments as the comments on top of each of lib/cluster/lua say."""

from dataclasses import dataclass, field

NODES = "barid:{c}:nodes"
CHANGED = "barid:{c}:changed"
TLSRPT_DUE = "barid:{c}:tlsrpt:due"
TLSRPT_OF = "barid:{c}:tlsrpt:of:"
CHUNK_TTL_S = 600


@dataclass
class Call:
    script: str
    keys: list
    args: list
    chunks: dict = field(default_factory=dict)  # key -> bytes: SET with NX and a TTL, in its pipeline before it


@dataclass
class Report:
    """A DSN that a settle writes."""

    job: str
    digest: str
    content: str
    envelope: str = "dsn envelope"
    state: str = "dsn state"
    size: int = None  # of the content, unless the test lies


@dataclass
class End:
    """One job of a settle."""

    job: str
    queue: str
    token: str
    outcome: str = "end"
    delay: int = 0
    next: str = ""
    state: str = None
    exact: bool = True
    event: str = "delivered"
    detail: str = ""
    chunks: int = 1
    report: Report = None
    moves: bool = False  # `queue` is another one than it was claimed from


@dataclass
class Tokens:
    """One bucket of a limit, and what is asked of it."""

    key: str
    count: int = 10
    per_ms: int = 1000
    burst: int = 10
    back: int = 0
    need: int = 1
    least: int = 1
    wish: int = 0


@dataclass
class Slots:
    key: str
    most: int
    held: int
    want: int


def reaped(answer):
    """Of a reap: how many; some of them may be held, and told."""
    return answer[0] if isinstance(answer, list) else answer


def join():
    return Call("join", [NODES], [])


def beat(incarnation, count, stats="stats"):
    return Call("beat", [NODES], [incarnation, count, stats])


def bury(incarnation, count):
    return Call("bury", [NODES], [incarnation, count])


def leave(incarnation):
    return Call("leave", [NODES], [incarnation])


def meta(schema, partitions, hash_name):
    return Call("meta", ["barid:{c}:meta"], [schema, partitions, hash_name])


def table(name, act, field, value="", expect="any", expected=""):
    """put or remove in a cluster-wide table."""
    return Call("table", [f"barid:{{c}}:{name}", CHANGED], [name, act, field, expect, expected, value])


def tlsrpt_count(incarnation, seq, parts, reports=100, rows=100, keep=604800000):
    """parts: (name, due ms, {field: value})."""
    args = [seq, keep, reports, rows]
    for name, due, fields in parts:
        args += [name, due, len(fields)]
        for field_name, value in fields.items():
            args += [field_name, value]
    return Call("tlsrpt_count", [TLSRPT_DUE, f"barid:{{c}}:tlsrpt:last:{incarnation}", *(TLSRPT_OF + name for name, _, _ in parts)], args)


def tlsrpt_take(name, token, hold=600000, keep=604800000):
    return Call("tlsrpt_take", [TLSRPT_DUE, TLSRPT_OF + name], [name, token, hold, keep])


def tlsrpt_end(name, token, outcome, *sent, delay=600000, keep=604800000):
    return Call("tlsrpt_end", [TLSRPT_DUE, TLSRPT_OF + name], [name, token, outcome, delay, keep, *sent])


class Partition:
    """The keys of one partition, and the calls on it."""

    def __init__(self, tag="0"):
        self.tag = tag
        self.claimed, self.held, self.due_index = f"c:{{{tag}}}", f"h:{{{tag}}}", f"d:{{{tag}}}"
        self.lease, self.events, self.never = f"o:{{{tag}}}", f"ev:{{{tag}}}", f"never:{{{tag}}}"

    def record(self, job):
        return f"j:{{{self.tag}}}:{job}"

    def queue(self, queue):
        return f"q:{{{self.tag}}}:{queue}"

    def seen(self, job):
        return f"seen:{{{self.tag}}}:{job}"

    def pause_state(self, queue):
        return f"s:{{{self.tag}}}:{queue}"

    def chunk_key(self, job, index):
        return f"b:{{{self.tag}}}:{job}:{index}"

    def commit(self, job, queue, pieces=("content",), digest="digest", envelope="envelope", state="state",
               size=None, mark_ms=60000, w=0, detail="", tenant="",
               delay=0, back=False, script="commit"):
        """`pieces` are the chunks of the content."""
        chunks = {self.chunk_key(job, i): piece for i, piece in enumerate(pieces)}
        size = sum(len(piece) for piece in pieces) if size is None else size
        return Call(
            script,
            [self.record(job), self.seen(job), self.queue(queue), self.due_index, self.events, self.never,
             *chunks],
            [job, queue, digest, envelope, state, size, mark_ms, int(w), detail, tenant, delay, *([1] if back else [])], chunks)

    def delete(self, job, queue, revoke=False):
        return Call(
            "delete",
            [self.record(job), self.seen(job), self.queue(queue), self.claimed, self.held, self.due_index,
             self.events, self.never],
            [job, revoke if revoke == "moved" else int(revoke), self.tag])

    def claim(self, queue, n, incarnation, seq, repeated=False, suspects=1, most_bytes=1000000):
        return Call(
            "claim",
            [self.queue(queue), self.claimed, self.held, self.pause_state(queue), self.events, self.never],
            [queue, n, most_bytes, incarnation, seq, int(repeated), suspects, self.tag])

    def settle(self, *ends):
        keys = [self.claimed, self.due_index, self.held, self.events, self.never]
        args = [len(ends)]
        chunks = {}
        for end in ends:
            is_kept, stays = end.outcome == "keep", end.outcome in ("back", "hold")
            keys.append(self.record(end.job))
            if not is_kept:
                keys += [self.seen(end.job), *(self.chunk_key(end.job, i) for i in range(end.chunks))]
            if stays:
                keys.append(self.queue(end.queue))
            more = "q" * stays + "k" * is_kept + "d" * (end.report is not None) + "m" * end.moves
            if end.state is not None:
                more += "sx" if end.exact else "s"
            args += [end.job, end.token, end.outcome, end.event, end.detail, 0 if is_kept else end.chunks, more]
            args += [end.queue, end.delay] if stays else []
            args += [end.next] if is_kept else []
            args += [end.state] if end.state is not None else []
            if end.report:
                report = end.report
                content = self.chunk_key(report.job, 0)
                keys += [self.record(report.job), content, self.queue("#fanout")]
                size = len(report.content) if report.size is None else report.size
                args += [report.job, report.digest, report.envelope, report.state, size]
                chunks[content] = report.content
        return Call("settle", keys, args, chunks)

    def reap(self, last, *live):
        keys = [self.claimed, self.due_index, self.held, self.events, self.never]
        return Call("reap", keys, [self.tag, last, *live])

    def order(self, script, job, queue, why="by operator", rule=""):
        """hold, unhold, retry, bounce or undo; why: of a hold; rule: whose it is, or that is undone."""
        return Call(
            script,
            [self.record(job), self.queue(queue), self.claimed, self.held, self.due_index, self.events,
             self.never],
            [job, why, rule] if script == "hold" else [job, rule])

    def acquire(self, me, floor=0):
        return Call("acquire", [self.lease, self.never], [me, floor])

    def keep(self, me, token):
        return Call("keep", [self.lease, self.never], [me, token])

    def give_up(self, me, token):
        return Call("yield", [self.lease, self.never], [me, token])

    def pause(self, queue, ms, error="error", longest=900000):
        return Call("pause", [self.pause_state(queue), self.due_index, self.never], [queue, ms, longest, error])

    def due(self, n=10, horizon=0, park=30000):
        return Call("due", [self.due_index, self.never], [n, horizon, park, self.tag])

    def chunk(self, job, index, content, ttl=CHUNK_TTL_S):
        return Call("chunk", [self.chunk_key(job, index), self.never], [content, ttl])

    def tidy(self, *keys, alone=(), keep_ms=7 * 86400000, jobs=2000):
        """The janitor's: looks at these keys; alone: those of messages of which no job lives anywhere."""
        index = [self.claimed, self.due_index, self.held, self.events, self.never]
        return Call("tidy", [*index, *keys], [self.tag, keep_ms, jobs, *(int(key in alone) for key in keys)])

    def limit_key(self, key):
        return f"l:{{{self.tag}}}:{key}"

    def limit(self, *asked):
        """Tokens."""
        return Call("limit", [self.never, *(self.limit_key(a.key) for a in asked)],
                    [n for a in asked for n in (a.count, a.per_ms, a.burst, a.back, a.need, a.least, a.wish)])

    def slots_key(self, key):
        return f"n:{{{self.tag}}}:{key}"

    def slots(self, node, *asked, ttl=12000):
        return Call("slot", [self.never, *(self.slots_key(a.key) for a in asked)],
                    [node, ttl, *(n for a in asked for n in (a.most, a.held, a.want))])

    def tenants(self):
        return f"t:{{{self.tag}}}"
