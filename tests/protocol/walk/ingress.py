"""Accepts messages: commit, 250 or 451, and the taking back of what is in doubt."""

import json

from .ledger import DOMAINS, PARTS, TAGS, home, lane
from .world import UNKNOWN, Node, Sleep, ask, call

TENANTS = ["", "", "acme", "two words: {x} 7"]


class Ingress:
    def __init__(self, world, ledger):
        self.world = world
        self.ledger = ledger
        self.is_open = True
        self.streamed = set()  # jobs whose content went ahead
        world.spawn(Node(), self.work())

    def work(self):
        random = self.world.random
        while self.is_open:
            yield Sleep(random.uniform(20, 600))
            count = random.choice([1, 1, 1, 2, 3, 5])
            recipients = [f"u{i}@{random.choice(DOMAINS)}" for i in range(count)]
            sender = None if random.random() < 0.15 else random.choice(DOMAINS)
            poison = random.random() < 0.01
            for _ in range(3):  # a client that gets no 250 tries again; each try is a message of its own
                if (yield from self.accept(recipients, sender, poison)):
                    break

    def accept(self, recipients, sender, poison):
        world, random = self.world, self.world.random
        domains = sorted({who.split("@")[1] for who in recipients})
        name, part, made = self.message(recipients, domains, sender, poison)
        message, job, queue = self.ledger.messages[name], made.args[0], made.args[1]
        if len(made.chunks) > 1 and random.random() < 0.3:
            yield from self.stream(part, job, made)
        answer = yield from ask(call(made), tries=random.choice([1, 2, 3, 8]))
        if answer in ("new", "again"):
            message.state = "accepted"
            world.counts["accepted"] += 1
            return random.random() >= 0.03  # or the client did not get the 250
        if answer is not UNKNOWN and not (answer == "incomplete" and job in self.streamed):
            world.fail(f"commit of {name} answered {answer}")
        yield Sleep(random.choice([1, 1, 1000, 5000]))
        answer = yield from ask(call(part.delete(job, queue, revoke=True)), tries=random.choice([1, 2, 3]))
        world.counts["revoke " + (answer.name if answer is UNKNOWN else answer)] += 1
        if answer in ("deleted", "gone"):
            self.ledger.refuse(name)
        else:
            message.state = "doubtful"
        return False

    def stream(self, part, job, made):
        """The first chunk goes ahead, and may be gone when the client has sent the rest."""
        self.streamed.add(job)
        first = part.chunk_key(job, 0)
        yield from ask(call(part.chunk(job, 0, made.chunks.pop(first), ttl=5)))
        yield Sleep(self.world.random.choice([10, 100, 1000, 6000]))

    def message(self, recipients, domains, sender, poison):
        """Its name, its partition, and the commit that makes it."""
        random = self.world.random
        groups = [[domain + lane(sender, self.world.lanes),
                   [who for who in recipients if who.endswith("@" + domain)]] for domain in domains]
        is_fanout = len(groups) > 1
        jobs = {who: {".0", f".{i}"} if is_fanout else {".0"}
                for i, (_, some) in enumerate(groups, 1) for who in some}
        name = self.ledger.new_message(sender, jobs, poison=poison)
        content = "x" * random.choice([5, 15, 30]) + name
        pieces = [content[:20], content[20:]] if len(content) > 20 else [content]
        tenant = random.choice(TENANTS)
        envelope = {"message": name, "sender": sender, "chunks": len(pieces), "reads": False, "tenant": tenant}
        if is_fanout:
            queue, part = "#fanout", PARTS[random.choice(TAGS)]
            reads = random.random() < 0.5
            state = {"children": groups, "cursor": 0, "rounds": 0}
        else:
            queue, part, reads = groups[0][0], home(domains[0]), False
            state = {"left": recipients, "attempts": 0}
        envelope.update(tag=part.tag, content=name + ".0")
        return name, part, part.commit(name + ".0", queue, pieces, "digest" + name, json.dumps(envelope),
                                       json.dumps(state), w=reads, tenant=tenant,
                                       delay=random.choice([0, 0, 0, 0, 1000, 60000]))
