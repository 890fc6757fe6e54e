"""
The seeded order of the faults: storms, in which several overlap, and between them one alone, by which the times to recover are measured.
"""

import random

# What is done, to which role, for how long (seconds, two ranges and the share of the second), by weight.
# A courier that is stopped for longer than 4.5 s is buried; Redis owes a reply for 3 s at most.
_KINDS = [
    ("kill", "ingress", (0.2, 2.0), (4.0, 8.0), 0.1, 12),
    ("kill", "dispatcher", (0.2, 2.0), (4.0, 8.0), 0.2, 12),
    ("kill", "courier", (0.2, 2.0), (4.0, 8.0), 0.2, 20),
    ("stop", "ingress", (0.5, 4.0), (5.0, 12.0), 0.1, 8),
    ("stop", "dispatcher", (0.5, 4.0), (5.0, 12.0), 0.3, 9),
    ("stop", "courier", (0.5, 4.0), (4.6, 12.0), 0.4, 16),
    ("end", "ingress", (0.2, 1.0), (0.2, 1.0), 0, 2),
    ("end", "dispatcher", (0.2, 1.0), (0.2, 1.0), 0, 2),
    ("end", "courier", (0.2, 1.0), (0.2, 1.0), 0, 3),
    ("lose frames", "ingress", (3.0, 8.0), (3.0, 8.0), 0, 3),
    ("lose frames", "dispatcher", (3.0, 8.0), (3.0, 8.0), 0, 3),
    ("lose frames", "courier", (3.0, 8.0), (3.0, 8.0), 0, 3),
    ("delay frames", "ingress", (3.0, 8.0), (3.0, 8.0), 0, 3),
    ("delay frames", "dispatcher", (3.0, 8.0), (3.0, 8.0), 0, 3),
    ("delay frames", "courier", (3.0, 8.0), (3.0, 8.0), 0, 3),
    ("cut", "redis", (0.0, 0.5), (1.0, 4.0), 0.3, 8),
    ("stop", "redis", (0.3, 2.0), (3.0, 6.0), 0.3, 6),
]
# At the same moment.
_PAIRS = [
    [("kill", "courier", 1.0), ("kill", "dispatcher", 1.0)],
    [("kill", "ingress", 0.5), ("cut", "redis", 0.3)],
    [("kill", "courier", 0.5), ("cut", "redis", 0.3)],
    [("kill", "courier", 6.0), ("kill", "courier", 0.5)],
    [("stop", "courier", 6.0), ("kill", "dispatcher", 2.0)],
    [("stop", "courier", 5.5), ("stop", "redis", 4.0)],
    [("kill", "dispatcher", 1.0), ("kill", "dispatcher", 1.0)],
    [("stop", "dispatcher", 6.0), ("stop", "redis", 2.0)],
]
_PAIR_SHARE = 0.12
_ALONE = [("kill", "courier", 1.0), ("kill", "dispatcher", 8.0), ("cut", "redis", 0.0), ("stop", "courier", 8.0), ("stop", "dispatcher", 8.0),
          ("stop", "redis", 4.0)]


class Hurt:
    """One fault: what is done, to a node of which role, how long it lasts."""

    def __init__(self, what, role, seconds):
        self.what, self.role, self.seconds = what, role, round(seconds, 2)


class Round:
    """storm: [(pause before it, [Hurt, ...])]; alone: the Hurt that follows when all is well again."""

    def __init__(self, storm, alone):
        self.storm, self.alone = storm, alone


def _drawn(rng, kinds):
    what, role, usual, long, share, _ = rng.choices(kinds, [kind[-1] for kind in kinds])[0]
    return Hurt(what, role, rng.uniform(*(long if rng.random() < share else usual)))


def rounds(seed, storm_length=12, kinds=None):
    """Without end. kinds: only these, as ("kill", "redis"); then nothing comes in pairs."""
    rng = random.Random(f"{seed}/plan")
    table = [kind for kind in _KINDS if kinds is None or kind[:2] in kinds]
    alone = []
    while True:
        storm = []
        for _ in range(storm_length):
            is_pair = kinds is None and rng.random() < _PAIR_SHARE
            hurts = [Hurt(*one) for one in rng.choice(_PAIRS)] if is_pair else [_drawn(rng, table)]
            storm.append((rng.uniform(0.5, 2.0), hurts))
        if not alone:
            alone = [one for one in _ALONE if kinds is None or one[:2] in kinds]
            rng.shuffle(alone)
        yield Round(storm, Hurt(*alone.pop()) if alone else None)
