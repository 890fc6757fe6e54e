#!lua flags=allow-oom
-- Has a job returned to its sender: the courier that claims it settles it with a report.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job
-- answer: ok later gone                (later: it is claimed; a delivery that is faster wins)

local j, c, h, d, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job = ARGV[1]

local queue, q = home_of(j)
if not queue then
  return "gone"
end
local at = place(q, c, h, job)

if at == "c" then
  redis.call("HSET", j, "f", "bounce")
  return "later"
elseif at then
  put(d, q, queue, job, now)
  redis.call("HSET", j, "f", "bounce")
  if at == "h" then
    redis.call("ZREM", h, job)
    redis.call("HDEL", j, "x", "h")
  end
  event(ev, "released", { "j", job, "x", "bounce by operator" })
end
return "ok"
