"""Redis at one instant: which job is where, what tenants are counted for, and what contradicts invariant 2."""

import collections
import threading

from redis.exceptions import RedisError

_LOOK = """
local found = {}
for _, key in ipairs(redis.call("KEYS", "*")) do
  local kind = string.match(key, "^(%a+):{")
  if kind == "j" then
    found[#found + 1] = { kind, key, { redis.call("HEXISTS", key, "k"), redis.call("HGET", key, "t") or "" } }
  elseif kind == "t" then
    found[#found + 1] = { kind, key, redis.call("HGETALL", key) }
  elseif kind == "q" or kind == "c" or kind == "h" then
    found[#found + 1] = { kind, key, redis.call("ZRANGE", key, 0, -1, "WITHSCORES") }
  elseif kind == "b" then
    found[#found + 1] = { kind, key, redis.call("PTTL", key) }
  end
end
return found
"""


def _parts(key):
    """("tag", "rest") of "q:{tag}:rest"."""
    tag, _, rest = key.partition("{")[2].partition("}")
    return tag, rest[1:]


class Snapshot:
    """
    places: {(tag, job): [(kind, queue, score)]}. records: {(tag, job): has a token}. chunks: {key: ms to live, -1 for good}.
    owned, counted: {(tag, "m:" or "b:" and tenant): jobs or bytes}, by the records of jobs and as it is kept.
    """

    def __init__(self, redis):
        self.places, self.records, self.chunks = {}, {}, {}
        self.owned, self.counted = collections.Counter(), {}
        for kind, key, value in redis.eval(_LOOK, 0):
            kind, key = kind.decode(), key.decode()
            tag, rest = _parts(key)
            if kind == "j":
                self.records[tag, rest] = value[0] == 1
                size, _, tenant = value[1].decode().partition(" ")
                if tenant:
                    self.owned[tag, f"m:{tenant}"] += 1
                    self.owned[tag, f"b:{tenant}"] += int(size)
            elif kind == "t":
                for field, count in zip(value[::2], value[1::2]):
                    self.counted[tag, field.decode()] = int(count)
            elif kind == "b":
                self.chunks[key] = value
            else:
                for job, score in zip(value[::2], value[1::2]):
                    self.places.setdefault((tag, job.decode()), []).append((kind, rest, float(score)))

    def is_empty(self):
        """No job is left, and no content but what goes by itself."""
        return not self.places and not self.records and not self.counted and all(ttl >= 0 for ttl in self.chunks.values())

    def wrong(self):
        """What contradicts "a job is in exactly one place", one sentence each."""
        found = []
        for name in set(self.places) | set(self.records):
            kinds = [kind for kind, _, _ in self.places.get(name, [])]
            if len(kinds) != 1:
                found.append(f"{name[1]} is in {len(kinds)} places: {kinds}")
            elif name not in self.records:
                found.append(f"{name[1]} in {kinds[0]} has no record")
            elif self.records[name] != (kinds[0] == "c"):
                found.append(f"{name[1]} in {kinds[0]} {'has' if self.records[name] else 'lacks'} a token")
        for name in set(self.counted) | set(self.owned):
            if self.counted.get(name, 0) != self.owned[name]:
                found.append(f"{name[1]} is {self.counted.get(name, 0)}, and its jobs have {self.owned[name]}")
        for key, ttl in self.chunks.items():
            tag, rest = _parts(key)
            if (tag, rest.rpartition(":")[0]) not in self.records and ttl == -1:
                found.append(f"{key} belongs to no job and has no time limit")
        return found

    def held(self):
        return [job for (_, job), places in self.places.items() if places[0][0] == "h"]

    def text(self):
        return ", ".join(f"{job} in {[(kind, queue) for kind, queue, _ in places]}" for (_, job), places in self.places.items()) \
            + f"; {len(self.records)} records, {len(self.chunks)} chunks, {self.counted}"


class Watch:
    """Takes snapshots all the time; .wrong has what was found."""

    EVERY_S = 0.05

    def __init__(self, connect):
        self.connect, self.wrong, self.count = connect, [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)

    def _run(self):
        redis = self.connect()
        while not self._stop.wait(self.EVERY_S):
            try:
                self.wrong += Snapshot(redis).wrong()
                self.count += 1
            except RedisError:  # it stands still, or is away
                pass
