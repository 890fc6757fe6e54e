#!lua flags=allow-oom
-- Gives a courier due jobs of one queue. Hot: one HMGET and one HSET a job, everything else once a call.
-- KEYS q c h s ev never
-- ARGV queue n bytes incarnation seq repeated suspects t
--      (n: at most 500; bytes: most of e and s, but one job always; repeated: 1 or 0; suspects: 1 or 0)
-- answer: {"wait", until_ms} or {"jobs", token, {{job, {e, s, n, f, x, y, w, u, r}}, ...}, error, held}, missing fields nil
--         (error: why the queue was paused, while a pause that is over is on record, else ""; held: lines of those
--         that nobody could work)

local q, c, h, s, ev = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local queue, n, bytes, incarnation = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local token, repeated, suspects = incarnation .. "." .. ARGV[5], ARGV[6] == "1", tonumber(ARGV[7])
local records = "j:{" .. ARGV[8] .. "}:"
n = math.min(n, BATCH_LIMIT)
local paused, _, why = pause_of(s)

if repeated then
  -- The first request may have come through. What it claimed has not changed: nobody else knows the token.
  local jobs = {}
  for _, job in ipairs(redis.call("ZRANGEBYSCORE", c, incarnation, incarnation)) do
    local record = read("HMGET", records .. job, "e", "s", "n", "f", "x", "y", "w", "u", "r", "k")
    if record and record[10] == token then
      record[10] = nil
      jobs[#jobs + 1] = { job, record }
    end
  end
  if #jobs > 0 then
    return { "jobs", token, jobs, why, {} }
  end
end

if paused and paused > now then
  return { "wait", text(paused) }
end

local jobs, claims, taken, taken_records, lines, size = {}, {}, {}, {}, {}, 0
local broken, broken_lines = {}, {}
for _, job in ipairs(redis.call("ZRANGEBYSCORE", q, "-inf", now, "LIMIT", 0, n + 16)) do
  local count = #taken
  if count >= n then
    break
  end
  local j = records .. job
  local record = redis.pcall("HMGET", j, "e", "s", "n", "f", "x", "y", "w", "u", "r")
  local e, state, x = record[1], record[2], record[5]
  local chunks = record[3] == "1" and 1 or number(record[3]) -- nearly always 1
  local crashes = x and number(x) or 0
  if not e or not state or not chunks or chunks > CHUNK_LIMIT or not record[8] or (x and not number(x)) then
    -- Nobody could work it: held for the operator, and the others go on.
    broken[#broken + 1] = job
    tell(broken_lines, job, redis.call("EXISTS", j) == 1 and "record unreadable" or "no record")
  elseif crashes < 2 or suspects > 0 then
    -- Two couriers died with it: one such job at a time, so that poison takes no innocent ones along.
    local grown = size + #e + #state
    if count > 0 and grown > bytes then
      break
    end
    size = grown
    if crashes >= 2 then
      suspects = suspects - 1
    end
    jobs[count + 1] = { job, record }
    taken[count + 1], taken_records[count + 1] = job, j
    claims[2 * count + 1] = incarnation
    claims[2 * count + 2] = job
    tell(lines, job, token)
  end
end

if #broken > 0 then
  check(c, h)
  for _, job in ipairs(broken) do
    redis.call("ZADD", h, now, job)
    redis.call("ZREM", q, job)
  end
  for i = 2, #broken_lines, 4 do
    if broken_lines[i + 2] ~= "no record" then
      redis.pcall("HSET", records .. broken_lines[i], "h", broken_lines[i + 2]) -- of another type: it cannot say why
    end
  end
  event(ev, "held", broken_lines)
end
if #taken > 0 then
  redis.call("ZADD", c, unpack(claims)) -- the only call of these that can fail, so it comes first
  redis.call("ZREM", q, unpack(taken))
  for _, j in ipairs(taken_records) do
    redis.call("HSET", j, "k", token)
  end
  if queue == "#fanout" then
    for i, j in ipairs(taken_records) do
      local record = jobs[i][2]
      if not record[6] then
        record[6] = text(now)
        redis.call("HSET", j, "y", record[6])
      end
    end
  end
  event(ev, "claimed", lines)
end
return { "jobs", token, jobs, why, broken_lines }
