"""
The seeded order of the faults: storms, in which several overlap, and between them one alone, by which the times to recover are measured.
"""

import random

STANDALONE, SENTINEL, CLUSTER = "standalone", "sentinel", "cluster"  # how Redis is run
STORES = (STANDALONE, SENTINEL, CLUSTER)
_REPLICATED = (SENTINEL, CLUSTER)

# What is done, to what, for how long (seconds, two ranges and the share of the second), by weight, and with which stores.
# A courier that is stopped for longer than 4.5 s is buried; Redis owes a reply for 3 s at most; a primary that is silent for 2 s is replaced.
# "part X Y": nothing goes between them; "hush X Y": nothing goes from X to Y.
_KINDS = [
    ("kill", "ingress", (0.2, 2.0), (4.0, 8.0), 0.1, 12, STORES),
    ("kill", "dispatcher", (0.2, 2.0), (4.0, 8.0), 0.2, 12, STORES),
    ("kill", "courier", (0.2, 2.0), (4.0, 8.0), 0.2, 20, STORES),
    ("stop", "ingress", (0.5, 4.0), (5.0, 12.0), 0.1, 8, STORES),
    ("stop", "dispatcher", (0.5, 4.0), (5.0, 12.0), 0.3, 9, STORES),
    ("stop", "courier", (0.5, 4.0), (4.6, 12.0), 0.4, 16, STORES),
    ("leave", "ingress", (0.1, 1.0), (4.0, 10.0), 0.3, 3, STORES),
    ("leave", "dispatcher", (0.1, 1.0), (4.0, 10.0), 0.3, 3, STORES),
    ("leave", "courier", (0.1, 1.0), (4.0, 10.0), 0.3, 4, STORES),
    ("drain", "ingress", (1.0, 4.0), (1.0, 4.0), 0, 2, STORES),
    ("drain", "dispatcher", (1.0, 4.0), (1.0, 4.0), 0, 2, STORES),
    ("drain", "courier", (1.0, 4.0), (1.0, 4.0), 0, 3, STORES),
    ("upgrade", "ingress", (2.0, 6.0), (2.0, 6.0), 0, 2, STORES),
    ("upgrade", "dispatcher", (2.0, 6.0), (2.0, 6.0), 0, 2, STORES),
    ("upgrade", "courier", (2.0, 6.0), (2.0, 6.0), 0, 2, STORES),
    ("lose frames", "ingress", (3.0, 8.0), (3.0, 8.0), 0, 2, STORES),
    ("lose frames", "dispatcher", (3.0, 8.0), (3.0, 8.0), 0, 2, STORES),
    ("lose frames", "courier", (3.0, 8.0), (3.0, 8.0), 0, 2, STORES),
    ("delay frames", "ingress", (3.0, 8.0), (3.0, 8.0), 0, 2, STORES),
    ("delay frames", "dispatcher", (3.0, 8.0), (3.0, 8.0), 0, 2, STORES),
    ("delay frames", "courier", (3.0, 8.0), (3.0, 8.0), 0, 2, STORES),
    ("jump clock", "ingress", (1.0, 5.0), (1.0, 5.0), 0, 2, STORES),
    ("jump clock", "dispatcher", (1.0, 5.0), (1.0, 5.0), 0, 2, STORES),
    ("jump clock", "courier", (1.0, 5.0), (1.0, 5.0), 0, 2, STORES),
    ("rotate", "keys", (0.0, 0.1), (0.0, 0.1), 0, 3, STORES),
    ("part", "ingress redis", (0.5, 3.0), (4.0, 8.0), 0.3, 4, STORES),
    ("part", "dispatcher redis", (0.5, 3.0), (4.0, 8.0), 0.3, 4, STORES),
    ("part", "courier redis", (0.5, 3.0), (4.0, 8.0), 0.4, 6, STORES),
    ("part", "ingress dispatcher", (2.0, 8.0), (2.0, 8.0), 0, 2, STORES),
    ("part", "courier dispatcher", (2.0, 8.0), (2.0, 8.0), 0, 4, STORES),
    ("part", "courier world", (0.5, 4.0), (0.5, 4.0), 0, 3, STORES),
    ("part", "ingress clients", (0.5, 4.0), (0.5, 4.0), 0, 3, STORES),
    ("hush", "ingress redis", (0.5, 3.0), (4.0, 8.0), 0.3, 2, STORES),
    ("hush", "redis ingress", (0.5, 3.0), (4.0, 8.0), 0.3, 2, STORES),
    ("hush", "dispatcher redis", (0.5, 3.0), (4.0, 8.0), 0.3, 2, STORES),
    ("hush", "redis dispatcher", (0.5, 3.0), (4.0, 8.0), 0.3, 2, STORES),
    ("hush", "courier redis", (0.5, 3.0), (4.0, 8.0), 0.3, 2, STORES),
    ("hush", "redis courier", (0.5, 3.0), (4.0, 8.0), 0.3, 3, STORES),
    ("hush", "dispatcher courier", (2.0, 8.0), (2.0, 8.0), 0, 2, STORES),
    ("hush", "courier dispatcher", (2.0, 8.0), (2.0, 8.0), 0, 2, STORES),
    ("hush", "world courier", (0.5, 4.0), (0.5, 4.0), 0, 3, STORES),
    ("cut", "redis", (0.0, 0.5), (1.0, 4.0), 0.3, 8, (STANDALONE,)),
    ("stop", "redis", (0.3, 2.0), (3.0, 6.0), 0.3, 6, (STANDALONE,)),
    ("kill", "primary", (0.2, 1.0), (3.0, 6.0), 0.5, 6, _REPLICATED),
    ("cut", "primary", (0.2, 1.0), (3.0, 6.0), 0.5, 6, _REPLICATED),
    ("stop", "primary", (0.3, 1.5), (4.0, 8.0), 0.5, 4, _REPLICATED),
    ("isolate", "primary", (0.3, 1.5), (4.0, 8.0), 0.6, 4, _REPLICATED),
    ("split off", "primary", (4.0, 8.0), (4.0, 8.0), 0, 3, _REPLICATED),
    ("kill", "replica", (0.5, 3.0), (0.5, 3.0), 0, 3, _REPLICATED),
    ("stop", "replica", (0.5, 5.0), (0.5, 5.0), 0, 2, _REPLICATED),
    ("kill", "sentinel", (1.0, 5.0), (1.0, 5.0), 0, 2, (SENTINEL,)),
    ("move", "slots", (0.0, 0.1), (0.0, 0.1), 0, 10, (CLUSTER,)),
]
# At the same moment.
_PAIRS = {
    STANDALONE: [[("kill", "ingress", 0.5), ("cut", "redis", 0.3)], [("kill", "courier", 0.5), ("cut", "redis", 0.3)],
                 [("stop", "courier", 5.5), ("stop", "redis", 4.0)], [("stop", "dispatcher", 6.0), ("stop", "redis", 2.0)]],
    SENTINEL: [[("kill", "ingress", 0.5), ("cut", "primary", 3.0)], [("kill", "courier", 0.5), ("kill", "primary", 3.0)],
               [("kill", "dispatcher", 0.5), ("kill", "primary", 3.0)], [("stop", "courier", 5.5), ("stop", "primary", 4.0)],
               [("kill", "sentinel", 3.0), ("kill", "primary", 3.0)]],
    CLUSTER: [[("kill", "courier", 0.5), ("kill", "primary", 3.0)], [("move", "slots", 0.0), ("kill", "courier", 1.0)],
              [("move", "slots", 0.0), ("kill", "dispatcher", 1.0)], [("stop", "courier", 5.5), ("stop", "primary", 4.0)]],
}
_PAIRS_ANYWHERE = [
    [("kill", "courier", 1.0), ("kill", "dispatcher", 1.0)],
    [("kill", "courier", 6.0), ("kill", "courier", 0.5)],
    [("stop", "courier", 6.0), ("kill", "dispatcher", 2.0)],
    [("kill", "dispatcher", 1.0), ("kill", "dispatcher", 1.0)],
    [("part", "courier redis", 6.0), ("part", "courier dispatcher", 6.0)],
]
_PAIR_SHARE = 0.12
_ALONE = {
    STANDALONE: [("cut", "redis", 0.0), ("stop", "redis", 4.0)],
    SENTINEL: [("kill", "primary", 5.0), ("isolate", "primary", 6.0)],
    CLUSTER: [("kill", "primary", 5.0), ("isolate", "primary", 6.0)],
}
_ALONE_ANYWHERE = [("kill", "courier", 1.0), ("kill", "dispatcher", 8.0), ("stop", "courier", 8.0), ("stop", "dispatcher", 8.0)]


class Hurt:
    """One fault: what is done, to what ("courier", "primary", "courier redis", ...), how long it lasts."""

    def __init__(self, what, target, seconds):
        self.what, self.target, self.seconds = what, target, round(seconds, 2)

    @property
    def is_of_store(self):
        return self.target in ("redis", "primary", "replica", "slots")


class Round:
    """storm: [(pause before it, [Hurt, ...])]; alone: the Hurt that follows when all is well again."""

    def __init__(self, storm, alone):
        self.storm, self.alone = storm, alone


def _drawn(rng, kinds):
    what, target, usual, long, share = rng.choices(kinds, [kind[5] for kind in kinds])[0][:5]
    return Hurt(what, target, rng.uniform(*(long if rng.random() < share else usual)))


def rounds(seed, store=STANDALONE, storm_length=12, kinds=None, without=()):
    """Without end. kinds: only these, as ("kill", "courier"); then nothing comes in pairs. without: words of what is not done."""
    rng = random.Random(f"{seed}/plan")
    table = [kind for kind in _KINDS if store in kind[6] and (kinds is None or kind[:2] in kinds) and kind[0] not in without]
    pairs = _PAIRS[store] + _PAIRS_ANYWHERE
    alone = []
    while True:
        storm = []
        for _ in range(storm_length):
            is_pair = kinds is None and rng.random() < _PAIR_SHARE
            hurts = [Hurt(*one) for one in rng.choice(pairs)] if is_pair else [_drawn(rng, table)]
            storm.append((rng.uniform(0.5, 2.0), hurts))
        if not alone:
            alone = [one for one in _ALONE[store] + _ALONE_ANYWHERE if kinds is None or one[:2] in kinds]
            rng.shuffle(alone)
        yield Round(storm, Hurt(*alone.pop()) if alone else None)
