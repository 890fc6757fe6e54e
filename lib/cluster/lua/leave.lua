#!lua flags=allow-oom
-- Ends a life in good order: its claims, if any are left, are reaped like those of the dead.
-- KEYS barid:{c}:nodes
-- ARGV incarnation
-- answer: ok

local nodes = KEYS[1]

redis.call("HDEL", nodes, ARGV[1])
return "ok"
