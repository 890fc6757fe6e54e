#!lua flags=allow-oom
-- Takes back what one of the operator's rules did to a job (hold, unhold, retry, bounce), unless it has been attempted since, or
-- another order came: where it was, due when it was.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job rule
-- answer: ok left gone                (left: it is not as that rule left it, and stays as it is)

local j, c, h, d, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job, rule = ARGV[1], ARGV[2]

local queue, q = home_of(j)
if not queue then
  return "gone"
end
local at = place(q, c, h, job)
local note = read("HGET", j, "r") or ""
local whose, from, to, score, why = string.match(note, "^(%S+) ([qch]) ([qh]) (%d+) ?(.*)$")

if whose ~= rule or not (at == to or (at == "c" and from == "c")) then
  return "left"
end
if at == "c" then
  redis.call("HDEL", j, "f", "h", "r") -- its courier has not met the order yet
elseif from == "h" then
  redis.call("ZADD", h, number(score) or now, job)
  redis.call("ZREM", q, job)
  redis.call("HDEL", j, "f", "r")
  redis.call("HSET", j, "h", why)
  event(ev, "held", { "j", job, "x", why })
else
  put(d, q, queue, job, from == "q" and number(score) or now) -- what was claimed has lost its due time
  redis.call("ZREM", h, job)
  redis.call("HDEL", j, "f", "h", "r")
  event(ev, "released", { "j", job, "x", "undo of rule " .. rule })
end
return "ok"
