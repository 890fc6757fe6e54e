#!lua flags=allow-oom
-- Takes a partition, if nobody has it. A lease guards limits, not mail.
-- KEYS o never
-- ARGV me floor                       (me: an incarnation; floor: the highest token a courier reported, or 0)
-- answer: the token (16 digits) or taken

local LEASE_MS = 3000
local o = KEYS[1]
local me, floor = ARGV[1], tonumber(ARGV[2])

local lease = read("HMGET", o, "owner", "token", "until")
local owner, token, ends = unpack(lease or {})
token, ends = number(token) or 0, number(ends) or 0

if owner == me and token > floor then
  redis.call("HSET", o, "until", now + LEASE_MS)
  return text(token)
end
-- An end further off than a lease is long is a clock that jumped.
if owner and now < ends and ends <= now + LEASE_MS then
  return "taken"
end
-- Tokens grow, also past one that a failover forgot.
token = math.max(token + 1, floor + 1, now_us)
if not lease then
  redis.call("UNLINK", o)
end
redis.call("HSET", o, "token", text(token), "owner", me, "until", now + LEASE_MS)
return text(token)
