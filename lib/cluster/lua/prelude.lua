-- Shared by every script. A script is loaded as: its first line, this text, the rest of its file. `carry` has
-- no file: it is commit.lua with the first line `#!lua flags=allow-oom`. The build and the tests do the same.
--
-- All reads come before all writes: a script that fails half way is not undone. A record that cannot be read
-- (wrong type, fields that are no numbers) fails alone; an index of the wrong type (q c h d) fails the call
-- before its first write. Numbers go to redis.call as they are: Redis prints them whole (but slowly: where it
-- is hot they go as text). In answers and joined strings only `text` is exact.
-- Hot scripts save arguments before anything else: each costs Redis and Lua about 1,600 instructions, a whole
-- redis.call 5,000 and what its command does.

local EVENT_LIMIT = "2000" -- entries of a partition's history; one entry tells of as many jobs as a call has
local BATCH_LIMIT = 500 -- jobs in one call: Lua's stack holds 8000 values
local CHUNK_LIMIT = 4096 -- chunks of one message
local PAUSE_MOST_MS = 604800000 -- what dispatcher.pause_longest may be

local time = redis.call("TIME")
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000) -- ms

local function text(value)
  return string.format("%d", value)
end

-- The value of a field that should hold a whole number, nil if it does not: keys may hold anything.
local function number(field)
  if field and #field <= 16 and string.find(field, "^%d+$") then
    local value = tonumber(field)
    return value < 9007199254740992 and value or nil
  end
  return nil
end

-- A read that survives a key of the wrong type: nil then (false: nothing there).
local function read(...)
  local reply = redis.pcall(...)
  if type(reply) == "table" and reply.err then
    return nil
  end
  return reply
end

-- When a queue's pause ends, how long it is, and why it came; nil: none is on record. An end further off than a pause
-- can be long is a clock that jumped: it is over.
local function pause_of(s)
  local record = read("HMGET", s, "until", "ms", "error") or {}
  local ends, ms = number(record[1]), number(record[2])
  if ends and ends > now + PAUSE_MOST_MS then
    ends = now
  end
  return ends, ms, record[3] or ""
end

-- Raises, before the first write, if an index is of the wrong type.
local function check(...)
  for _, index in ipairs({ ... }) do
    redis.call("ZCARD", index)
  end
end

-- History is told in lines, j <job> x <detail>, as many as there are jobs, and written as one entry.
local function tell(lines, job, detail)
  local at = #lines
  lines[at + 1], lines[at + 2], lines[at + 3], lines[at + 4] = "j", job, "x", detail
end

-- Mail never waits for its history: if the stream is of the wrong type, the entry is dropped.
local function event(ev, name, lines)
  redis.pcall("XADD", ev, "MAXLEN", "~", EVENT_LIMIT, "*", "e", name, unpack(lines))
end

-- `d` first: a queue in d without jobs is harmless, jobs in a queue that d does not know wait for ever.
local function put(d, q, queue, job, due)
  redis.call("ZADD", d, "LT", due, queue)
  redis.call("ZADD", q, due, job)
end

-- Which of its three places a job is in: "q", "c", "h" or nil.
local function place(q, c, h, job)
  local waiting = redis.call("ZSCORE", q, job)
  local claimed = redis.call("ZSCORE", c, job)
  local held = redis.call("ZSCORE", h, job)
  return waiting and "q" or claimed and "c" or held and "h" or nil
end

-- A job's queue and its key, by the record: the job may have moved since the caller looked, and a put into another
-- queue would lose it. nil: there is no record.
local function home_of(j)
  local queue = read("HGET", j, "q")
  if queue then
    return queue, "q:" .. string.match(j, "{.-}") .. ":" .. queue
  end
end

-- Released by the operator, a job's crashes are forgiven. Of a many-queue message one stays known: who died with it may
-- have made jobs of it that its state does not tell of.
local function forgive(j, queue)
  if queue == "#fanout" and read("HGET", j, "x") then
    redis.call("HSET", j, "x", "1")
  else
    redis.call("HDEL", j, "x")
  end
end

-- Notes in a job's record which of the operator's rules moved it, for undo: "<rule> <from> <to> <score> [why]", places as `place`
-- has them, of where it was. The next attempt or order makes it void. rule nil or empty, or a fate that another order had given
-- before: this order is not to be undone, as that one would go with it.
local function remember(j, rule, fate, from, to, score, why)
  local whose = string.match(read("HGET", j, "r") or "", "^%S+")
  if whose and whose == rule then
    return -- a repeat, which knows less
  elseif fate or not rule or rule == "" then
    redis.call("HDEL", j, "r")
  else
    redis.call("HSET", j, "r", table.concat({ rule, from, to, text(score or 0), why or nil }, " "))
  end
end

-- What a tenant has in the partition: jobs and bytes, in fields of t:{t}, which `never` names. Where no job is left
-- nothing is: an error heals with the last one. Mail never waits for its count.
local function tally(never, tenant, jobs, bytes)
  local key = "t:" .. string.sub(never, 7)
  local left = redis.pcall("HINCRBY", key, "m:" .. tenant, text(jobs))
  if type(left) == "number" then
    if left <= 0 then
      redis.call("HDEL", key, "m:" .. tenant, "b:" .. tenant)
    elseif bytes ~= 0 then
      redis.pcall("HINCRBY", key, "b:" .. tenant, text(bytes))
    end
  end
end

-- Takes a job that ends out of its tenant's count. owned: its field t, "<bytes> <tenant>".
local function uncount(never, owned)
  local bytes, tenant = string.match(owned, "^(%d+) (.+)$")
  if number(bytes) then
    tally(never, tenant, -1, -number(bytes))
  end
end
