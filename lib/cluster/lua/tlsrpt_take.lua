#!lua flags=allow-oom
-- Takes a report that is due: nobody else gets it for a while, and nothing is counted for it any more.
-- KEYS barid:{c}:tlsrpt:due barid:{c}:tlsrpt:of:<name>
-- ARGV name token hold_ms keep_ms
--      (token: of this courier, new for every call; keep_ms: how long what nobody ends stays)
-- answer: "gone", "later", or all fields and values of the hash: those that begin with a dot are ours:
--         .taken: when it was taken first; .tries: how often it was given back; .token; .sent:<where>
--
-- A repeat finds its own token, and takes nothing anew.

local due, of = KEYS[1], KEYS[2]
local name, token, hold_ms, keep_ms = unpack(ARGV)

local at = tonumber(redis.call("ZSCORE", due, name) or "")
local record = read("HMGET", of, ".token", ".taken", ".done")
if not at then
  return "gone"
elseif not record or record[3] or redis.call("HLEN", of) == 0 then
  redis.call("ZREM", due, name)
  return "gone"
elseif record[1] ~= token then
  if at > now then
    return "later"
  end
  redis.call("ZADD", due, text(now + tonumber(hold_ms)), name)
  redis.call("HSET", of, ".token", token)
  redis.call("HSETNX", of, ".taken", text(now))
  redis.call("PEXPIRE", of, keep_ms)
end
return redis.call("HGETALL", of)
