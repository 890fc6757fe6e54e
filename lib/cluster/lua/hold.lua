#!lua flags=allow-oom
-- Holds a job for the operator; why: what the job's record and history say of it.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job why
-- answer: ok later gone                (later: it is claimed, and held when its courier gives it back)

local j, c, h, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[6]
local job, why = ARGV[1], ARGV[2]

local queue, q = home_of(j)
if not queue then
  return "gone"
end
local at = place(q, c, h, job)

if at == "c" then
  redis.call("HSET", j, "f", "hold", "h", why)
  return "later"
elseif at == "q" then
  redis.call("ZADD", h, now, job)
  redis.call("ZREM", q, job)
  redis.call("HSET", j, "h", why)
  event(ev, "held", { "j", job, "x", why })
end
return "ok"
