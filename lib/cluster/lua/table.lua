#!lua flags=allow-oom
-- Writes or takes out one field of a cluster-wide table, and makes the table's version another number.
-- KEYS table barid:{c}:changed
-- ARGV name put|remove field any|none|is expected value
-- answer: ok none exists changed       (ok also when the field is as asked already: the version stays)
--         none: nothing to take out; exists, changed: it is not as expected

local hash, versions = KEYS[1], KEYS[2]
local name, act, field, expectation, expected, value = unpack(ARGV)

local held = redis.call("HGET", hash, field)
local version = redis.call("HGET", versions, name)

if act == "put" and held == value then
  return "ok"
elseif act == "remove" and not held then
  return "none"
elseif expectation == "none" and held then
  return "exists"
elseif expectation == "is" and held ~= expected then
  return "changed"
end

if act == "put" then
  redis.call("HSET", hash, field, value)
else
  redis.call("HDEL", hash, field)
end
redis.call("HSET", versions, name, text(math.max((number(version) or 0) + 1, now_us)))
return "ok"
