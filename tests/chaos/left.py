"""What is in the queue when the load has ended: what an operator would do about it, and what it looks like if it stays."""

import re
import time


class Left:
    """reader: recovery.Reader."""

    def __init__(self, reader, say):
        self.reader, self.say = reader, say
        self.held = 0

    def operate(self, queue):
        """Releases what is held, and has it looked at once whether kept content has readers left. False when nothing is left."""
        for key in self.reader.scan("q:*:#fanout"):
            self._look_at_parents(key, key[3:key.index("}")])
        for key in self.reader.scan("h:*") if queue["held"] else []:
            for job in self.reader.one("zrange", key, 0, -1):
                self._release(key[3:-1], job)
        return queue["waiting"] + queue["claimed"] + queue["held"] > 0

    def _look_at_parents(self, key, tag):
        for job, due in self.reader.one("zrange", key, 0, -1, withscores=True):
            if due > time.time() * 1000 + 5000 and self.reader.one("hget", f"j:{{{tag}}}:{job}", "w") == "1":
                self.reader.one("zadd", key, {job: 1}, xx=True)
                self.reader.one("zadd", f"d:{{{tag}}}", {"#fanout": 1})

    def _release(self, tag, job):
        record = f"j:{{{tag}}}:{job}"
        queue = self.reader.one("hget", record, "q")
        self.held += 1
        fields = self.reader.one("hgetall", record)
        self.say(f"              held: {job} in {queue}: {fields.get('h')}, {sorted(fields)}")
        if queue:
            self.reader.one("zadd", f"d:{{{tag}}}", {queue: 1})
            self.reader.one("zadd", f"q:{{{tag}}}:{queue}", {job: 1})
            self.reader.one("zrem", f"h:{{{tag}}}", job)
            self.reader.one("hdel", record, "f", "x")

    def queues(self):
        """Where most of it waits: "dead.test 12, #fanout 3"."""
        found = {}
        for key in self.reader.scan("q:*"):
            queue = key.split(":", 2)[2]
            found[queue] = found.get(queue, 0) + self.reader.one("zcard", key)
        return ", ".join(f"{queue} {count}" for queue, count in sorted(found.items(), key=lambda one: -one[1])[:6])

    def text(self, most=30):
        """What is still there, for whoever looks for the cause."""
        lines = []
        for key in sorted(self.reader.scan("j:*"))[:most]:
            tag, job = re.match(r"j:\{(.*?)\}:(.*)", key).groups()
            fields = {name: self.reader.one("hget", key, name) for name in ("q", "k", "x", "f", "w", "n")}
            place = {name: self.reader.one("zscore", f"{name}:{{{tag}}}", job) for name in ("c", "h")}
            place["due in s"] = (self.reader.one("zscore", f"q:{{{tag}}}:{fields['q']}", job) or 0) / 1000 - time.time()
            looked = self.reader.one("zscore", f"d:{{{tag}}}", fields["q"] or "")
            lines.append(f"  {key} {fields} {place} d={looked} owner={self.reader.one('hgetall', f'o:{{{tag}}}')}")
        return "\n".join(lines)

    def for_ever(self):
        """Jobs, places, content, counts and limits that nobody will ever take away."""
        left = [key for pattern in ("j:*", "q:*", "c:*", "h:*", "t:*") for key in self.reader.scan(pattern)]
        return sorted(left + [key for pattern in ("b:*", "l:*", "n:*") for key in self.reader.scan(pattern) if self.reader.one("ttl", key) == -1])
