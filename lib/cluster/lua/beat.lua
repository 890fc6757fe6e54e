#!lua flags=allow-oom
-- A node's sign of life. Never repeated: the next one has the next count, and "old" confirms nothing.
-- KEYS barid:{c}:nodes
-- ARGV incarnation count stats
-- answer: ok old dead

local nodes = KEYS[1]
local incarnation, count, stats = unpack(ARGV)

local stored = redis.call("HGET", nodes, incarnation)
if not stored then
  return "dead"
end
if (number(string.match(stored, "^%d+")) or -1) >= tonumber(count) then
  return "old"
end
redis.call("HSET", nodes, incarnation, count .. " " .. stats)
return "ok"
