#!lua flags=allow-oom
-- Declares a life over, unless it has beaten since the caller looked. At or below `last` and not in nodes is
-- dead for good.
-- KEYS barid:{c}:nodes
-- ARGV incarnation count              (count: the digits its value began with when last read, empty if none)
-- answer: dead alive

local nodes = KEYS[1]
local incarnation, count = unpack(ARGV)

local stored = redis.call("HGET", nodes, incarnation)
if stored and string.match(stored, "^%d*") ~= count then
  return "alive"
end
redis.call("HDEL", nodes, incarnation)
return "dead"
