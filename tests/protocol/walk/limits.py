"""Walks over the scripts of limits: nodes that take, give back, repeat and die, on a clock that steps and jumps."""

import random

from protocol import scripts
from protocol.calls import Partition, Slots, Tokens

from .world import START_MS, Violation, read

PART = Partition("0")
TTL_MS = 12000


class Clocked:
    """The scripts on a virtual clock."""

    def __init__(self, redis, seed, sources):
        self.redis = redis
        self.seed = seed
        self.random = random.Random(seed)
        self.now = START_MS
        redis.flushall()
        loaded = scripts.assemble(sources or scripts.sources(), before=read("virtual.lua"))
        self.hashes = {name: redis.script_load(loaded[name]) for name in ("limit", "slot")}
        self.tick = redis.script_load(read("tick.lua"))

    def run(self, call):
        self.redis.evalsha(self.tick, 0, f"{self.now:.3f}")
        return self.redis.evalsha(self.hashes[call.script], len(call.keys), *call.keys, *call.args)

    def fail(self, what):
        raise Violation(f"seed {self.seed}: {what}")


def walk_tokens(redis, seed, steps, sources=None):
    """Never more out than the burst and what time gave; never less, for one who asks for all there is. How many were granted."""
    world = Clocked(redis, seed, sources)
    rng = world.random
    count, per_ms = rng.choice([(1, 1000), (10, 1000), (600, 3600000), (1 << 33, 86400000), (7, 3)])
    burst = rng.choice([1, 5, 100, 1 << 34])
    held = [0, 0, 0]  # by nodes
    allowed, out, granted_all = float(burst), 0, 0
    sure = allowed  # the same, less what a clock that went back took away

    for step in range(steps):
        chance = rng.random()
        if chance < 0.4:
            pace = rng.choice([0.001, 0.02, 1, 300]) * per_ms / count
            passed = round(rng.expovariate(1) * pace, 3)
            world.now += passed
            allowed += passed * count / per_ms
            sure += passed * count / per_ms
        elif chance < 0.45:  # a clock that jumps back gives nothing, and takes what it gave at most
            jump = round(rng.uniform(0, 5000), 3)
            world.now -= jump
            sure -= jump * count / per_ms
        elif chance < 0.47:
            held[rng.randrange(len(held))] = 0  # a node dies with what it holds
        node = rng.randrange(len(held))
        back = rng.randint(0, held[node]) if rng.random() < 0.3 else 0
        need = rng.choice([0, 1, 1, 1, 2, burst, 3 * burst])
        least = rng.randint(min(need, 1), need)
        wish = rng.choice([0, 0, 5, 1000])
        ask = Tokens("x", count, per_ms, burst, back, need, least, wish)
        for came_back in (0, back):  # a full bucket gains nothing
            out -= came_back
            allowed, sure = min(allowed, out + burst), min(sure, out + burst)
        granted, left, wait = world.run(PART.limit(ask))[0]
        held[node] += granted - back
        out += granted
        granted_all += granted
        if granted < 0 or left < 0 or granted > need + wish or left > burst or (granted and granted < least):
            world.fail(f"granted {granted} of {ask}, left {left} (step {step})")
        if out > allowed + 0.01 + allowed * 1e-9:
            world.fail(f"{out} out, {allowed} allowed (step {step}, {ask})")
        if granted == 0 and 0 < least <= burst and wait == 0 and left < least:
            world.fail(f"refused without a time to wait: {ask}")
        if left < int(min(burst, sure - out) - 0.01):
            world.fail(f"{left} left, not {sure - out} (step {step}, {ask})")
    # Full again in time, and the key with nothing in it.
    world.now += burst * per_ms / count + 1
    world.run(PART.limit(Tokens("y")))
    if redis.exists(PART.limit_key("x")):
        world.fail("a full bucket keeps its key")
    granted, _, _ = world.run(PART.limit(Tokens("x", count, per_ms, burst, 0, burst, burst)))[0]
    if granted != burst:
        world.fail(f"a full bucket of {burst} gives {granted}")
    return granted_all


def walk_slots(redis, seed, steps, sources=None):
    """All nodes together hold no more than the limit; what the dead held is free when their time is over."""
    world = Clocked(redis, seed, sources)
    rng = world.random
    most = rng.choice([1, 3, 50])
    nodes = {f"n{i}": (0, world.now) for i in range(4)}  # name -> slots granted, and when
    born = len(nodes)
    granted_all = 0

    for step in range(steps):
        world.now += rng.choice([0, 1, 100, 1000, 4000])
        if rng.random() < 0.05:
            nodes[f"n{born}"] = (0, world.now)  # in place of the oldest, which is heard no more
            born += 1
        name = rng.choice(sorted(nodes, key=lambda node: int(node[1:]))[-4:])
        was, since = nodes[name]
        is_late = world.now - since >= TTL_MS  # it did not renew: others may have what it had
        held = 0 if is_late else rng.randint(0, was)
        want = held + rng.choice([0, 0, 1, 2, most])
        for _ in range(rng.choice([1, 1, 2])):  # or repeated
            granted = world.run(PART.slots(name, Slots("x", most, held, want), ttl=TTL_MS))[0]
        nodes[name] = (granted, world.now)
        granted_all += granted
        alive = [slots for slots, since in nodes.values() if world.now - since < TTL_MS]
        if granted < held or granted > max(want, held):
            world.fail(f"{granted} granted, {held} held, {want} wanted (step {step})")
        if sum(alive) > most:
            world.fail(f"{sum(alive)} slots of {most} (step {step})")
        if granted < want and sum(alive) < most:
            world.fail(f"{granted} of {want} granted, {sum(alive)} of {most} in use (step {step})")
    return granted_all
