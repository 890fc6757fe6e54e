#!lua flags=allow-oom
-- Stops a queue for a while, or resumes it. Moves one score, not a million jobs.
-- KEYS s d never
-- ARGV queue ms longest error
--      (ms: of a first pause; each that follows one on record is twice as long, up to longest; 0 resumes)
--      (error: why; it stays on record for a day after the pause, unless the queue is resumed)
-- answer: ok

local DAY_MS = 86400000
local s, d = KEYS[1], KEYS[2]
local queue, ms, longest, why = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

if ms == 0 then
  redis.call("ZADD", d, "LT", now, queue)
  redis.call("UNLINK", s)
  return "ok"
end

local ends, last = pause_of(s)
ends = ends or 0
if last and ends > now then
  ms = last -- a repeat, or told by two owners: not another failure
elseif last then
  ms = math.max(ms, math.min(2 * last, longest))
end
ends = math.max(ends, now + ms)
redis.call("ZADD", d, "LT", ends, queue) -- it may be parked for longer than it rests
redis.call("HSET", s, "until", ends, "ms", ms, "error", why)
redis.call("PEXPIRE", s, ends - now + DAY_MS)
return "ok"
