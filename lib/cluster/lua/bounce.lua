#!lua flags=allow-oom
-- Has a job returned to its sender: the courier that claims it settles it with a report.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job rule                     (rule: whose undo may take it back, or nothing)
-- answer: ok later gone                (later: it is claimed; a delivery that is faster wins)

local j, c, h, d, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job, rule = ARGV[1], ARGV[2]

local queue, q = home_of(j)
if not queue then
  return "gone"
end
local at, fate = place(q, c, h, job), read("HGET", j, "f")

if at == "c" then
  redis.call("HSET", j, "f", "bounce")
  remember(j, rule, fate, "c", "q")
  return "later"
elseif at then
  local score, why = redis.call("ZSCORE", at == "h" and h or q, job), at == "h" and read("HGET", j, "h")
  put(d, q, queue, job, now)
  redis.call("HSET", j, "f", "bounce")
  remember(j, rule, fate, at, "q", score, why)
  if at == "h" then
    redis.call("ZREM", h, job)
    redis.call("HDEL", j, "h")
    forgive(j, queue)
  end
  event(ev, "released", { "j", job, "x", "bounce by operator" })
end
return "ok"
