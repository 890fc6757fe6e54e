#!lua flags=allow-oom
-- Ends a report that was taken, or gives it back for another try.
-- KEYS barid:{c}:tlsrpt:due barid:{c}:tlsrpt:of:<name>
-- ARGV name token outcome delay_ms keep_ms sent...
--      (outcome: done, back or sent; sent: where it was sent to, which need not be done again; keep_ms: how long it is
--      known that it was done, and nothing of that day is counted)
-- answer: ok stale
--
-- done and back use the token up, so that a repeat changes nothing: "stale".

local due, of = KEYS[1], KEYS[2]
local name, token, outcome, delay_ms, keep_ms = unpack(ARGV)

local record = read("HMGET", of, ".token", ".taken")
if not record or record[1] ~= token then
  return "stale"
elseif outcome == "done" then
  -- The key is there all the time: while its slot moves, Redis takes a key that is missing for one that has moved.
  local fields = redis.call("HKEYS", of)
  redis.call("ZREM", due, name)
  redis.call("HSET", of, ".done", text(now))
  for _, field in ipairs(fields) do
    if field ~= ".taken" and field ~= ".done" then
      redis.call("HDEL", of, field)
    end
  end
  redis.call("PEXPIRE", of, keep_ms)
  return "ok"
end
for i = 6, #ARGV do
  redis.call("HSET", of, ".sent:" .. ARGV[i], text(now))
end
if outcome == "back" then
  redis.call("ZADD", due, text(now + tonumber(delay_ms)), name)
  redis.call("HDEL", of, ".token")
  redis.call("HINCRBY", of, ".tries", 1)
end
return "ok"
