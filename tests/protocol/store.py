"""A Redis with the queue's scripts: runs calls, and shows what is stored."""

from . import scripts
from .calls import CHUNK_TTL_S, Partition


class Store:
    def __init__(self, redis, users=None):
        """users: script -> a client with the rights of that script alone."""
        self.redis = redis
        self.users = users or {}
        loaded = scripts.assemble(scripts.sources())
        self.hashes = {name: redis.script_load(text) for name, text in loaded.items()}

    def empty(self):
        self.redis.flushall()

    def run(self, call):
        """The chunks, then the script: the answer of the script."""
        for key, piece in call.chunks.items():
            self.redis.set(key, piece, ex=CHUNK_TTL_S, nx=True)
        return self.users.get(call.script, self.redis).evalsha(self.hashes[call.script], len(call.keys), *call.keys, *call.args)

    def now_ms(self):
        seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def dump(self):
        """All that is stored but history: what a call that changes nothing leaves as it was."""
        read = {"string": self.redis.get, "hash": self.redis.hgetall,
                "zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True)}
        return {key: (read[self.redis.type(key)](key), self.redis.ttl(key) >= 0)
                for key in sorted(self.redis.keys()) if not key.startswith("ev:")}

    def place(self, part, job, queue):
        """The places that a job is in; one, if all is well."""
        places = {"q": part.queue(queue), "c": part.claimed, "h": part.held}
        return "".join(name for name, key in places.items() if self.redis.zscore(key, job) is not None)

    def due(self, part, job, queue):
        """Milliseconds until a waiting job is due."""
        return self.redis.zscore(part.queue(queue), job) - self.now_ms()

    def record(self, part, job):
        return self.redis.hgetall(part.record(job))

    def history(self, part):
        """[(event, job, detail)], oldest first."""
        lines = []
        for _, fields in self._entries(part):
            name = fields[1]
            lines += [(name, fields[i + 1], fields[i + 3]) for i in range(2, len(fields), 4)]
        return lines

    def entries(self, part):
        return len(self._entries(part))

    def _entries(self, part):
        # A plain reply: redis-py would fold the fields into a dict, and history repeats them.
        raw = self.redis.connection_pool.get_connection("XRANGE")
        try:
            raw.send_command("XRANGE", part.events, "-", "+")
            return raw.read_response()
        finally:
            self.redis.connection_pool.release(raw)


class Courier:
    """One life that claims and settles, for tests that need no more than that."""

    def __init__(self, store, incarnation, part=None):
        self.store = store
        self.part = part or Partition("0")
        self.incarnation = str(incarnation)
        self.seq = 0

    def claim(self, queue, n=10, **more):
        """The jobs claimed: [(job, fields)], and their token in `.token`."""
        self.seq += 1
        answer = self.store.run(self.part.claim(queue, n, self.incarnation, self.seq, **more))
        assert answer[0] == "jobs", answer
        self.token = answer[1]
        return answer[2]

    def again(self, queue, n=10, **more):
        """The same claim, sent once more."""
        return self.store.run(self.part.claim(queue, n, self.incarnation, self.seq, repeated=True, **more))

    def settle(self, *ends):
        return self.store.run(self.part.settle(*ends))
