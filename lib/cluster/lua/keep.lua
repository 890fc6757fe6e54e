#!lua flags=allow-oom
-- Keeps a partition for another lease.
-- KEYS o never
-- ARGV me token
-- answer: ok lost

local LEASE_MS = 3000
local o = KEYS[1]
local me, token = ARGV[1], ARGV[2]

local lease = read("HMGET", o, "owner", "token") or {}
if lease[1] == me and lease[2] == token then
  redis.call("HSET", o, "until", now + LEASE_MS)
  return "ok"
end
return "lost"
