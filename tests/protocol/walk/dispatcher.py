"""Dispatchers: partition leases, the watch over beats, burying, reaping, due work."""

from protocol import calls
from protocol.calls import NODES

from .ledger import PARTS
from .world import UNKNOWN, Node, Send, Sleep, call, reading

BURY_AFTER_MS = 4500


class Dispatcher(Node):
    def __init__(self, world, ledger, name, hints, tokens):
        super().__init__()
        self.world = world
        self.ledger = ledger
        self.hints = hints
        self.tokens = tokens  # tag -> (highest token seen given out, to whom), of all dispatchers
        self.name = name
        self.leases = {}  # tag -> token
        self.watch = {}  # incarnation -> (count, since when it has been seen unchanged)
        self.read_at = -10**9
        self.history = {tag: "-" for tag in PARTS}
        world.spawn(self, self.work())

    def work(self):
        random = self.world.random
        while True:
            yield Sleep(250 if self.world.now < self.world.calm_from else 3000)
            view = yield Send(reading("HGETALL", NODES, name="nodes"))
            if view is UNKNOWN or not view:
                continue
            view = dict(view)
            last = view.pop("last")
            if self.world.now - self.read_at > 1000:
                self.watch = {}
            self.read_at = self.world.now
            yield from self.bury_silent(view)
            for part in PARTS.values():
                if self.world.now < self.world.calm_from and random.random() < 0.5:
                    continue
                if self.world.may_fail(0.005):
                    self.paused_until = self.world.now + random.uniform(1000, 20000)
                    self.world.counts["dispatcher paused"] += 1
                    yield Sleep(1)
                yield from self.reap(part, last, list(view))
                if (yield from self.has_lease(part)):
                    yield from self.look(part)

    def bury_silent(self, view):
        for incarnation, value in view.items():
            count = value.split(" ")[0]
            if self.watch.get(incarnation, ("", 0))[0] != count:
                self.watch[incarnation] = (count, self.world.now)
            elif self.world.now - self.watch[incarnation][1] >= BURY_AFTER_MS:
                def done(answer, incarnation=incarnation):
                    if answer == "dead":
                        self.ledger.buried.add(incarnation)
                        self.world.counts["buried"] += 1
                yield Send(call(calls.bury(incarnation, count), done))

    def reap(self, part, last, live):
        def done(answer):
            if answer:
                self.note_reaped(part)
        while True:
            answer = yield Send(call(part.reap(last, *live), done))
            if answer is UNKNOWN or calls.reaped(answer) < 500:
                return

    def note_reaped(self, part):
        """History says which jobs are in doubt, and under which token."""
        redis = self.world.redis
        for entry, fields in redis.execute_command("XRANGE", part.events, self.history[part.tag], "+"):
            self.history[part.tag] = "(" + entry
            if fields[1] == "in_doubt":
                for at in range(2, len(fields), 4):
                    self.ledger.reap(fields[at + 1], fields[at + 3])

    def has_lease(self, part):
        """Keeps the lease, or tries to get it."""
        tag = part.tag
        if tag in self.leases:
            answer = yield Send(call(part.keep(self.name, self.leases[tag])))
            if answer == "lost":
                del self.leases[tag]
            return answer == "ok"

        def done(answer):
            if answer == "taken":
                return
            token, owner = self.tokens.get(tag, (0, None))
            if int(answer) < token or int(answer) == token and owner != self.name:
                self.world.fail(f"token {answer} of partition {tag} after {token}")
            self.tokens[tag] = (int(answer), self.name)
        answer = yield Send(call(part.acquire(self.name), done))
        if answer in ("taken", UNKNOWN):
            return False
        self.leases[tag] = answer
        return True

    def look(self, part):
        random = self.world.random
        horizon = 30000 if random.random() < 0.1 else 0
        answer = yield Send(call(part.due(random.choice([2, 10]), horizon, 30000)))
        if answer is not UNKNOWN:
            for queue, *_ in answer[0]:
                self.hints += [(part.tag, queue)] * 3
        if random.random() < 0.02:
            yield Send(call(part.give_up(self.name, self.leases.pop(part.tag))))

