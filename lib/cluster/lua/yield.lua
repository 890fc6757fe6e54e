#!lua flags=allow-oom
-- Gives a partition up before its lease ends. The token stays: the next one is higher.
-- KEYS o never
-- ARGV me token
-- answer: ok

local o = KEYS[1]
local me, token = ARGV[1], ARGV[2]

local lease = read("HMGET", o, "owner", "token") or {}
if lease[1] == me and lease[2] == token then
  redis.call("HDEL", o, "owner", "until")
end
return "ok"
