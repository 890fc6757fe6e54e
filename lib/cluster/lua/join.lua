#!lua flags=allow-oom
-- Begins one life of a node.
-- KEYS barid:{c}:nodes
-- ARGV none
-- answer: the incarnation, 16 digits; incarnations only grow

local nodes = KEYS[1]

local incarnation = text(math.max((number(redis.call("HGET", nodes, "last")) or 0) + 1, now_us))

redis.call("HSET", nodes, "last", incarnation, incarnation, "0")
return incarnation
