#!lua flags=allow-oom
-- Stops a queue for a while, or resumes it. Moves one score, not a million jobs.
-- KEYS s d never
-- ARGV queue ms error                  (ms: 0 resumes; error: why, kept a day longer than the pause)
-- answer: ok

local DAY_MS = 86400000
local s, d = KEYS[1], KEYS[2]
local queue, ms, why = ARGV[1], tonumber(ARGV[2]), ARGV[3]

if ms == 0 then
  redis.call("ZADD", d, "LT", now, queue)
  redis.call("UNLINK", s)
else
  redis.call("HSET", s, "until", now + ms, "error", why)
  redis.call("PEXPIRE", s, ms + DAY_MS)
end
return "ok"
