#!lua flags=allow-oom
-- Lets a held job go on at once, its crashes forgiven; a hold that waits for its courier is taken back.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job rule                     (rule: whose undo may take it back, or nothing)
-- answer: ok gone

local j, c, h, d, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job, rule = ARGV[1], ARGV[2]

local queue, q = home_of(j)
if not queue then
  return "gone"
end
local at = place(q, c, h, job)

if at == "h" then
  local since, why = redis.call("ZSCORE", h, job), read("HGET", j, "h")
  put(d, q, queue, job, now)
  redis.call("ZREM", h, job)
  redis.call("HDEL", j, "f", "h")
  forgive(j, queue)
  remember(j, rule, nil, "h", "q", since, why)
  event(ev, "released", { "j", job, "x", "by operator" })
elseif at == "c" and redis.call("HGET", j, "f") == "hold" then
  redis.call("HDEL", j, "f", "h", "r")
end
return "ok"
