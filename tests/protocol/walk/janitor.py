"""The janitor, at full speed: in a queue that no accident but those of the walk has met there is nothing to be found."""

from .ledger import PARTS, TAGS
from .world import Node, Send, Sleep, call

KINDS = ("j", "b", "q", "seen", "s", "t", "l", "n", "probe", "never")


class Janitor(Node):
    """Treats every message as if none of its jobs lived: what has a record must not need that."""

    def __init__(self, world, rest_ms):
        super().__init__()
        self.world, self.rest_ms = world, rest_ms
        world.spawn(self, self.work())

    def work(self):
        random = self.world.random
        while True:
            yield Sleep(random.uniform(1, self.rest_ms) if self.world.has_faults else 5000)
            part = PARTS[random.choice(TAGS)]
            keys = self.world.redis.keys(f"*:{{{part.tag}}}*")
            keys = [key for key in keys if key.split(":")[0] in KINDS]
            some = random.sample(keys, min(len(keys), random.choice([1, 5, 64])))
            yield Sleep(random.choice([0, 0, 100, 3000]))  # what was found may be gone when it is looked at
            if some:
                yield Send(call(part.tidy(*some, alone=some), self.found))

    def found(self, answer):
        if answer:
            self.world.fail(f"the janitor found {answer}")
        self.world.counts["tidied"] += 1
