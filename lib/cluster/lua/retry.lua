#!lua flags=allow-oom
-- Makes a waiting job due now.
-- KEYS j q c h d ev never             (q: the queue of the job, as far as the caller knows)
-- ARGV job rule                     (rule: whose undo may take it back, or nothing)
-- answer: ok gone                    (a claimed job is being tried, a held one stays held: both left alone)

local j, c, h, d, ev = KEYS[1], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job, rule = ARGV[1], ARGV[2]

local queue, q = home_of(j)
if not queue then
  return "gone"
end

if place(q, c, h, job) == "q" then
  local due, fate = redis.call("ZSCORE", q, job), read("HGET", j, "f")
  put(d, q, queue, job, now)
  if not fate then -- else the order that gave it keeps its undo
    remember(j, rule, nil, "q", "q", due)
  end
  event(ev, "released", { "j", job, "x", "retry by operator" })
end
return "ok"
