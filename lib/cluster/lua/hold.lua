#!lua flags=allow-oom
-- Holds a job for the operator; why: what the job's record and history say of it.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job why rule                 (rule: whose undo may take it back, or nothing)
-- answer: ok later gone                (later: it is claimed, and held when its courier gives it back)

local j, c, h, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[6]
local job, why, rule = ARGV[1], ARGV[2], ARGV[3]

local queue, q = home_of(j)
if not queue then
  return "gone"
end
local at, fate = place(q, c, h, job), read("HGET", j, "f")

if at == "c" then
  redis.call("HSET", j, "f", "hold", "h", why)
  remember(j, rule, fate, "c", "h")
  return "later"
elseif at == "q" then
  local due = redis.call("ZSCORE", q, job)
  redis.call("ZADD", h, now, job)
  redis.call("ZREM", q, job)
  redis.call("HSET", j, "h", why)
  remember(j, rule, fate, "q", "h", due)
  event(ev, "held", { "j", job, "x", why })
end
return "ok"
