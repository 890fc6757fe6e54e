"""What is in the queue when the load has ended: what an operator would do about it, and what it looks like if it stays."""

import re
import time


class Left:
    """The queue of a run, read in Redis itself: the programs under test are not asked."""

    def __init__(self, redis, say):
        self.redis, self.say = redis, say
        self.held = 0

    def operate(self, queue):
        """Releases what is held, and has it looked at once whether kept content has readers left. False when nothing is left."""
        for key in self.redis.scan_iter("q:*:#fanout", count=1000):
            self._look_at_parents(key, key[3:key.index("}")])
        for key in self.redis.scan_iter("h:*", count=1000) if queue["held"] else []:
            for job in self.redis.zrange(key, 0, -1):
                self._release(key[3:-1], job)
        return queue["waiting"] + queue["claimed"] + queue["held"] > 0

    def _look_at_parents(self, key, tag):
        for job, due in self.redis.zrange(key, 0, -1, withscores=True):
            if due > time.time() * 1000 + 5000 and self.redis.hget(f"j:{{{tag}}}:{job}", "w") == "1":
                self.redis.zadd(key, {job: 1}, xx=True)
                self.redis.zadd(f"d:{{{tag}}}", {"#fanout": 1})

    def _release(self, tag, job):
        record = f"j:{{{tag}}}:{job}"
        queue = self.redis.hget(record, "q")
        self.held += 1
        self.say(f"              held: {job} in {queue}: {self.redis.hgetall(record).keys()}")
        if queue:
            self.redis.zadd(f"d:{{{tag}}}", {queue: 1})
            self.redis.zadd(f"q:{{{tag}}}:{queue}", {job: 1})
            self.redis.zrem(f"h:{{{tag}}}", job)
            self.redis.hdel(record, "f", "x")

    def queues(self):
        """Where most of it waits: "dead.test 12, #fanout 3"."""
        found = {}
        for key in self.redis.scan_iter("q:*", count=1000):
            queue = key.split(":", 2)[2]
            found[queue] = found.get(queue, 0) + self.redis.zcard(key)
        return ", ".join(f"{queue} {count}" for queue, count in sorted(found.items(), key=lambda one: -one[1])[:6])

    def text(self, most=30):
        """What is still there, for whoever looks for the cause."""
        lines = []
        for key in sorted(self.redis.scan_iter("j:*", count=1000))[:most]:
            tag, job = re.match(r"j:\{(.*?)\}:(.*)", key).groups()
            fields = {name: self.redis.hget(key, name) for name in ("q", "k", "x", "f", "w", "n")}
            place = {name: self.redis.zscore(f"{name}:{{{tag}}}", job) for name in ("c", "h")}
            place["due in s"] = (self.redis.zscore(f"q:{{{tag}}}:{fields['q']}", job) or 0) / 1000 - time.time()
            owner = self.redis.hgetall(f"o:{{{tag}}}")
            lines.append(f"  {key} {fields} {place} d={self.redis.zscore(f'd:{{{tag}}}', fields['q'] or '')} owner={owner}")
        return "\n".join(lines)

    def for_ever(self):
        """Jobs, places, content, counts and limits that nobody will ever take away."""
        left = [key for pattern in ("j:*", "q:*", "c:*", "h:*", "t:*") for key in self.redis.scan_iter(pattern, count=1000)]
        return sorted(left + [key for pattern in ("b:*", "l:*", "n:*") for key in self.redis.scan_iter(pattern, count=1000) if self.redis.ttl(key) == -1])
