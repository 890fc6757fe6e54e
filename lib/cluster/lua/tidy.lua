#!lua flags=allow-oom
-- Looks at keys of a partition that the janitor came by, and mends what no script leaves behind, but damage may: a job in
-- no index, content without a job. What mail may still need is never removed: content without a job gets a time limit of
-- days, a job without a place is held for the operator.
-- KEYS c d h ev never, keys...
-- ARGV t keep_ms jobs, per key: alone
--      (keep_ms: the time limit; jobs: tenants are counted anew where there are no more than this; alone: 1 if
--      for long no job of the message was seen in any partition, so that nobody can read its content, else 0)
-- answer: what was found: {word, key, word, key, ...}   (words: rows of dispatcher/janitor.def)

local c, d, h, ev, never = unpack(KEYS, 1, 5)
local t, keep_ms, most_jobs = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local QUEUES_MOST, SEARCHES_MOST = 2000, 4 -- of a search for a job that is where its record does not say
local DAY_MS = 86400000
check(c, d, h)

local found, writes, held, searches = {}, {}, {}, 0
local function note(word, key)
  found[#found + 1], found[#found + 2] = word, key
end
local function plan(...)
  writes[#writes + 1] = { ... }
end

local look = {}

-- Only the commit makes content permanent, in the write that makes its job.
function look.b(key, name, alone)
  local job, index = string.match(name, "^(.*):(%d+)$")
  local left = redis.call("PTTL", key)
  if not job or left == -2 then
    return
  end
  local j = "j:{" .. t .. "}:" .. job
  if redis.call("EXISTS", j) == 1 then
    local chunks = left >= 0 and number(read("HGET", j, "n"))
    if chunks and tonumber(index) < chunks then
      note("limited", key)
      plan("PERSIST", key)
    end
  elseif left == -1 then
    -- A parent's content may be read by children in other partitions; a child has only its own.
    if alone == "1" or string.sub(job, -2) ~= ".0" then
      note("orphan", key)
      plan("PEXPIRE", key, keep_ms)
    else
      note("unowned", key)
    end
  end
end

local function search(job)
  local queues = redis.call("ZCARD", d) <= QUEUES_MOST and redis.call("ZRANGE", d, 0, -1) or {}
  for _, queue in ipairs(queues) do
    if read("ZSCORE", "q:{" .. t .. "}:" .. queue, job) then
      return queue
    end
  end
  return nil, #queues > 0 or redis.call("ZCARD", d) == 0
end

-- A job is in one of q, c, h.
function look.j(key, job)
  local kind = redis.call("TYPE", key).ok
  if kind == "none" then
    return
  end
  local record = kind == "hash" and redis.call("HMGET", key, "q", "k") or {}
  local queue, q = record[1], nil
  if queue then
    q = "q:{" .. t .. "}:" .. queue
  end
  local waiting = q and read("ZSCORE", q, job)
  local claimed, is_held = redis.call("ZSCORE", c, job), redis.call("ZSCORE", h, job)
  if claimed and (waiting or is_held) or waiting and is_held then
    note("twice", key)
    if waiting then
      plan("ZREM", q, job)
    end
    if claimed and is_held then
      plan("ZREM", h, job)
    elseif is_held and record[2] then
      plan("HDEL", key, "k")
    end
  elseif not (waiting or claimed or is_held) and searches < SEARCHES_MOST then
    searches = searches + 1
    local other, is_sure = search(job)
    if other and queue then
      note("astray", key)
      plan("HSET", key, "q", other)
    elseif not other and is_sure then
      note("lost", key)
      plan("ZADD", h, now, job)
      if kind == "hash" then
        plan("HDEL", key, "k")
        plan("HSET", key, "h", "was in no queue")
      end
      tell(held, job, "was in no queue")
    end
  end
end

function look.q(key, queue)
  local waiting = read("ZCARD", key)
  if not waiting then
    note("unreadable", key)
  elseif waiting > 0 and not redis.call("ZSCORE", d, queue) then
    note("forgotten", key)
    plan("ZADD", d, "LT", now, queue)
  end
end

-- What tenants have, counted anew by all jobs that are in an index.
function look.t(key)
  if redis.call("TYPE", key).ok ~= "hash" then
    return
  end
  local indexes, jobs = { c, h }, redis.call("ZCARD", c) + redis.call("ZCARD", h)
  for _, queue in ipairs(redis.call("ZCARD", d) <= QUEUES_MOST and redis.call("ZRANGE", d, 0, -1) or { "" }) do
    local q = "q:{" .. t .. "}:" .. queue
    jobs = jobs + (queue ~= "" and read("ZCARD", q) or most_jobs + 1)
    indexes[#indexes + 1] = q
  end
  if jobs > most_jobs then
    return
  end
  local truth = {}
  for _, index in ipairs(indexes) do
    for _, job in ipairs(redis.call("ZRANGE", index, 0, -1)) do
      local bytes, tenant = string.match(read("HGET", "j:{" .. t .. "}:" .. job, "t") or "", "^(%d+) (.+)$")
      if number(bytes) then
        truth["m:" .. tenant] = (truth["m:" .. tenant] or 0) + 1
        truth["b:" .. tenant] = (truth["b:" .. tenant] or 0) + number(bytes)
      end
    end
  end
  local counts, is_wrong = redis.call("HGETALL", key), false
  for i = 1, #counts, 2 do
    local count = truth[counts[i]] or 0
    if count == 0 and counts[i + 1] ~= "0" then
      is_wrong = true
      plan("HDEL", key, counts[i])
    elseif counts[i + 1] ~= text(count) then
      is_wrong = true
      plan("HSET", key, counts[i], text(count))
    end
    truth[counts[i]] = nil
  end
  for field, count in pairs(truth) do
    if count > 0 then
      is_wrong = true
      plan("HSET", key, field, text(count))
    end
  end
  if is_wrong then
    note("miscounted", key)
  end
end

function look.never(key)
  if redis.call("EXISTS", key) == 1 then
    note("never", key)
    plan("UNLINK", key)
  end
end

-- These are written with a time limit, in one command or one script.
local function look_limited(key)
  if redis.call("PTTL", key) == -1 then
    note("endless", key)
    plan("PEXPIRE", key, math.max(keep_ms, DAY_MS))
  end
end
look.seen, look.s, look.l, look.n, look.probe = look_limited, look_limited, look_limited, look_limited, look_limited

local met = {}
for i = 6, #KEYS do
  local kind, name = string.match(KEYS[i], "^(%l+):{[^}]*}:?(.*)$")
  if look[kind] and not met[KEYS[i]] then
    met[KEYS[i]] = true
    look[kind](KEYS[i], name, ARGV[i - 2])
  end
end

for _, command in ipairs(writes) do
  redis.call(unpack(command))
end
if #held > 0 then
  event(ev, "held", held)
end
return found
