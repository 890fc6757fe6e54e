#!lua flags=allow-oom
-- Gives back the claims of the dead: incarnations at or below `last` that are not in nodes. They cannot say
-- whether they sent a dot, so each of these jobs is in doubt. Costs claims of the dead, not backlog.
-- KEYS c d h ev never
-- ARGV t last live...                (last, and live: all other fields of nodes, from one confirmed read)
-- answer: how many, 500: call again; if some of them are held: {how many, their lines}

local c, d, h, ev = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local t, last = ARGV[1], tonumber(ARGV[2])
local CRASHES_MOST = 5

local live = {}
for i = 3, #ARGV do
  live[ARGV[i]] = true
end

local works, previous = {}, "-inf"
while #works < BATCH_LIMIT do
  local claim = redis.call("ZRANGEBYSCORE", c, previous, last, "WITHSCORES", "LIMIT", 0, 1)
  local incarnation = claim[2]
  if not incarnation then
    break
  end
  previous = "(" .. incarnation
  if not live[incarnation] then
    local jobs = redis.call("ZRANGEBYSCORE", c, incarnation, incarnation, "LIMIT", 0, BATCH_LIMIT - #works)
    for _, job in ipairs(jobs) do
      works[#works + 1] = { job = job, token = incarnation }
    end
  end
end
if #works == 0 then
  return 0
end

check(d, h)
math.randomseed(now_us % 2147483648) -- Redis seeds every run of a script alike
for _, work in ipairs(works) do
  work.j = "j:{" .. t .. "}:" .. work.job
  local record = redis.pcall("HMGET", work.j, "q", "f", "x", "k", "h")
  local queue, fate, crashes, token = record[1], record[2], record[3], record[4]
  if queue then
    work.q, work.queue, work.token = "q:{" .. t .. "}:" .. queue, queue, token or work.token
    work.crashes = (crashes and (number(crashes) or CRASHES_MOST) or 0) + 1
    if work.crashes >= CRASHES_MOST then
      work.why = "crashed couriers"
    elseif fate == "hold" then
      work.why, work.is_ordered = record[5] or "by operator", true
    elseif not read("ZCARD", work.q) then
      work.why = "queue unreadable"
    else
      -- Twice may be chance. From then on it waits longer each time: the job may be what kills.
      local wait = work.crashes < 2 and 0 or 10000 * 4 ^ (work.crashes - 2) * (0.75 + 0.5 * math.random())
      work.due = now + math.floor(wait)
    end
  else
    work.why = redis.call("EXISTS", work.j) == 1 and "record unreadable" or "no record"
  end
end

local reaped, lines, held = {}, {}, {}
for i, work in ipairs(works) do
  local job = work.job
  if work.due then
    put(d, work.q, work.queue, job, work.due)
  else
    redis.call("ZADD", h, now, job)
    if work.queue then
      redis.call("HSET", work.j, "h", work.why)
    end
    tell(held, job, work.why)
  end
  if work.queue then
    redis.call("HSET", work.j, "x", work.crashes)
    redis.call("HDEL", work.j, "k")
    if not work.is_ordered then
      redis.call("HDEL", work.j, "r") -- it may have been attempted
    end
  end
  reaped[i] = job
  tell(lines, job, work.token)
end
redis.call("ZREM", c, unpack(reaped))
event(ev, "in_doubt", lines)
if #held > 0 then
  event(ev, "held", held)
  return { #works, held }
end
return #works
