"""The operator's orders at random, and accidents: outages, jumps of Redis' clock, pauses."""

from .ledger import DOMAINS, LANES, PARTS, TAGS, home
from .world import Node, Send, Sleep, ask, call

ORDERS = ["hold", "unhold", "unhold", "retry", "bounce", "delete", "pause", "undo", "undo"]
RULES = ["", "r1", "r2"]  # an order of no rule cannot be undone


class Operator:
    def __init__(self, world, ledger):
        self.world = world
        self.ledger = ledger
        world.spawn(Node(), self.work())

    def work(self):
        random = self.world.random
        while self.world.has_faults:
            yield Sleep(random.uniform(100, 1500))
            part = PARTS[random.choice(TAGS)]
            order = random.choice(ORDERS)
            if order == "pause":
                queue = random.choice([domain for domain in DOMAINS if home(domain) is part]) + random.choice(LANES)
                yield Send(call(part.pause(queue, random.choice([0, 20000]))))
                continue
            if random.random() < 0.1:
                self.world.lanes += 1  # other settings
                self.world.counts["lanes changed"] += 1
            job, queue = self.choose(part, order)
            if queue != "#fanout" and random.random() < 0.3:
                queue = queue.split("/")[0] + random.choice(LANES)  # where it was when the tool looked
            if order == "delete":
                yield from ask(call(part.delete(job, queue), self.deleted(job)), tries=3)
            else:
                rule = random.choice(RULES[order == "undo":])
                yield from ask(call(part.order(order, job, queue, rule=rule), self.obeyed(order)), tries=3)

    def choose(self, part, order):
        redis, random = self.world.redis, self.world.random
        held = sorted(redis.zrange(part.held, 0, -1)) if order == "unhold" else []
        if order == "undo":
            held = sorted(key.split(":", 2)[2] for key in redis.keys(part.record("*")) if redis.hexists(key, "r"))
        jobs = held or sorted(key.split(":", 2)[2] for key in redis.keys(part.record("*")))
        job = random.choice(jobs + [f"M{random.randrange(1, 500)}.0"])
        return job, redis.hget(part.record(job), "q") or "a.x"

    def obeyed(self, order):
        def done(answer):
            if order == "undo" and answer == "ok":
                self.world.counts["orders undone"] += 1
        return done

    def deleted(self, job):
        def done(answer):
            if answer == "deleted":
                self.ledger.deleted.add(job)
                self.world.counts["deleted by order"] += 1
            elif answer == "later":
                self.ledger.ordered_away.add(job)
        return done

    def release_held(self):
        """In the end nothing may stay held; how many jobs are left at all."""
        redis, left = self.world.redis, 0
        for part in PARTS.values():
            for job in redis.zrange(part.held, 0, -1):
                queue = redis.hget(part.record(job), "q")
                if queue:
                    self.world.deliver(call(part.order("unhold", job, queue)))
            left += len(redis.keys(part.record("*"))) + redis.zcard(part.held)
        return left


class Accidents:
    def __init__(self, world, couriers):
        self.world = world
        self.couriers = couriers
        world.spawn(Node(), self.work())

    def work(self):
        world, random = self.world, self.world.random
        while world.has_faults:
            yield Sleep(random.uniform(5000, 60000) / world.roughness)
            kind = random.random()
            if kind < 0.3:
                world.outage_until = world.now + random.uniform(500, 9000)
                world.counts["outage"] += 1
            elif kind < 0.5:
                world.clock_offset += random.choice([-5000, -1000, 1000, 5000])
                world.counts["clock jumped"] += 1
            elif kind < 0.7:
                alive = [courier for courier in self.couriers if not courier.is_dead]
                if alive:
                    random.choice(alive).paused_until = world.now + random.uniform(100, 15000)
                    world.counts["courier paused"] += 1
