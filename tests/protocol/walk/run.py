"""One walk: a time with faults, then a time without in which everything must end."""

from protocol import scripts

from .courier import Courier
from .dispatcher import Dispatcher
from .ingress import Ingress
from .janitor import Janitor
from .ledger import PARTS, Ledger
from .operator import Accidents, Operator
from .world import START_MS, World

DRAIN_MS = 60 * 60000
INGRESSES, COURIERS, DISPATCHERS = 3, 3, 2


def walk(redis, seed, steps, sources=None, roughness=None):
    """`steps` commands with faults, then on to the end. Raises Violation; returns the world, for its counts."""
    return walk_in(World(redis, seed, sources or scripts.sources(), roughness), steps, 400 if sources is None else 5000)


def walk_in(world, steps, janitor_ms=400):
    """janitor_ms: it rests so long at most."""
    ledger = Ledger(world)
    hints, couriers = [], []

    def new_courier():
        couriers.append(Courier(world, ledger, hints, new_courier))

    doors = [Ingress(world, ledger) for _ in range(INGRESSES)]
    for _ in range(COURIERS):
        new_courier()
    tokens = {}
    for i in range(DISPATCHERS):
        Dispatcher(world, ledger, f"dispatcher {i}", hints, tokens)
    Janitor(world, janitor_ms)
    operator = Operator(world, ledger)
    Accidents(world, couriers)

    while world.steps < steps:
        world.step()
    for door in doors:
        door.is_open = False
    world.has_faults, world.outage_until = False, 0
    world.calm_from = world.now + 30000
    drain(world, operator)
    check_empty(world)
    ledger.close()
    world.counts["virtual seconds"] = int((world.now - START_MS) / 1000)
    return world


def drain(world, operator):
    """Until nothing is left for two looks, a minute apart: a late request may still bring something."""
    end, empty = world.now + DRAIN_MS, 0
    look = world.now
    while world.now < end and empty < 2:
        world.step()
        if world.now >= look:
            look = world.now + 60000
            empty = empty + 1 if operator.release_held() == 0 else 0


def check_empty(world):
    for part in PARTS.values():
        keys = world.redis.keys(part.record("*")) + world.redis.keys(part.queue("*"))
        for key in keys + [key for key in (part.claimed, part.held) if world.redis.exists(key)]:
            content = world.redis.hgetall(key) if key.startswith("j:") else world.redis.zrange(key, 0, -1)
            world.fail(f"left over at the end: {key} {content}")
