#!lua flags=allow-oom
-- Writes verdicts back, for many jobs of one partition. Outcomes use the token up: repeats change nothing.
-- KEYS c d h ev never, per job: j, unless keep: seen b..., for back and hold: q, with a report (DSN): its jd bd qd
--      (qd: q of #fanout)
-- ARGV jobs, per job: job token outcome event detail nb more, and what `more` names by letters, in this order:
--      q: queue delay (always and only with back and hold), k: next (with keep), s: state, d: dsn digest envelope
--      state size (a report); without arguments x: the state is exact, m: queue is another one than it was claimed from
--      (at most 500 jobs, each once; outcome: keep back hold end; delay: ms; next: the token after a keep;
--      event: what history says, empty: nothing; nb: how many b follow seen, 0 with keep)
-- answer: per job, in their order, one of ok gone again stale incomplete

local c, d, h, ev, never = unpack(KEYS, 1, 5)
local count = tonumber(ARGV[1])
if count > BATCH_LIMIT then
  error("too many jobs in one settle")
end
check(c, d, h)

local answers = {}
local met = {} -- jobs of this call
local writes = {} -- whole commands, in order
local unlinked, released, held = {}, {}, {} -- arguments of UNLINK, ZREM c, ZADD h
local owned = {} -- fields t of jobs that end
local lines, names = {}, {} -- history: event -> lines, and the events in order
local queues, waiting = {}, {} -- q -> what waits there again, and the same in order

local function plan(...)
  writes[#writes + 1] = { ... }
end

local function note(name, job, detail)
  if not lines[name] then
    lines[name] = {}
    names[#names + 1] = name
  end
  tell(lines[name], job, detail)
end

local function wait(q, queue, job, due)
  local list = queues[q]
  if not list then
    check(q)
    list = { q = q, queue = queue, first = due }
    queues[q] = list
    waiting[#waiting + 1] = list
  end
  list.first = math.min(list.first, due)
  list[#list + 1] = due
  list[#list + 1] = job
end

-- What the operator asked for meanwhile goes before what the courier wants, but never before a verdict. What a
-- courier cannot read (it writes no state) it cannot return either, and a parent that it puts aside it cannot
-- expand: these stay held, or keep their delay. Such a parent's delete goes on a little later.
local function obey(fate, w, queue, outcome, delay, is_read)
  local can_go_on = is_read and queue ~= "#fanout"
  if fate == "hold" then
    return "hold", delay, "held"
  elseif fate == "delete" and not w then
    return "end", delay, "deleted"
  elseif (fate == "delete" or fate == "bounce") and (can_go_on or outcome == "back") then
    return "back", can_go_on and 0 or delay, "released"
  elseif fate == "delete" and is_read then
    return "back", 1000, "released"
  end
  return outcome, delay
end

-- A report's one chunk is SET in the same pipeline, as for commit; its id is new, or nothing may be written.
local function is_new_and_whole(jd, bd, size)
  return read("STRLEN", bd) == tonumber(size) and redis.call("EXISTS", jd) == 0
end

local key, arg = 6, 2
for i = 1, count do
  local job, token, outcome, name, detail, nb, more = unpack(ARGV, arg, arg + 6)
  local queue, delay, after, state, exact, moves, dsn, q, seen, dsn_keys
  local j, b = KEYS[key], key + 2
  local b_end = b + nb -- the key behind the last b
  arg, key = arg + 7, b_end
  if outcome == "keep" then
    key = key - 1
  else
    seen = KEYS[b - 1]
  end
  if more ~= "" then
    if string.find(more, "q", 1, true) then
      queue, delay, q = ARGV[arg], ARGV[arg + 1], KEYS[key]
      arg, key = arg + 2, key + 1
      moves = string.find(more, "m", 1, true)
    end
    if string.find(more, "k", 1, true) then
      after, arg = ARGV[arg], arg + 1
    end
    if string.find(more, "s", 1, true) then
      state, arg = ARGV[arg], arg + 1
      exact = string.find(more, "x", 1, true)
    end
    if string.find(more, "d", 1, true) then
      dsn, dsn_keys = arg, key
      arg, key = arg + 5, key + 3
    end
  end

  local record = redis.pcall("HMGET", j, "k", "f", "w", "u", "m", "t")
  local held_token = record[1]
  local answer = "ok"
  if not held_token and redis.call("EXISTS", j) == 0 then
    answer = "gone"
  elseif outcome == "keep" and held_token == after then
    answer = "again"
  elseif held_token ~= token or met[job] then
    answer = "stale"
  elseif dsn and not is_new_and_whole(KEYS[dsn_keys], KEYS[dsn_keys + 1], ARGV[dsn + 4]) then
    answer = "incomplete"
  end
  answers[i] = answer
  if answer == "ok" then
    met[job] = true
    local fate = record[2]
    local ordered -- what of the operator's order can be undone still
    if fate and (outcome == "back" or outcome == "hold") then
      local wanted, fate_name = outcome, nil
      local rule, to = string.match(read("HGET", j, "r") or "", "^(%S+) c ([qh]) ")
      if rule and wanted == "back" then
        ordered = table.concat({ rule, "q", to, text(now + delay) }, " ")
      end
      outcome, delay, fate_name = obey(fate, record[3], queue, outcome, delay, state ~= nil)
      if outcome ~= wanted then
        name = fate_name
      end
    end

    if dsn then
      -- Verdict and report are one write.
      local id = ARGV[dsn]
      plan("PERSIST", KEYS[dsn_keys + 1])
      local u, e, s = unpack(ARGV, dsn + 1, dsn + 3)
      plan("HSET", KEYS[dsn_keys], "q", "#fanout", "u", u, "e", e, "s", s, "n", 1, "m", now)
      wait(KEYS[dsn_keys + 2], "#fanout", id, now)
      note("accepted", id, "dsn of " .. job)
    end
    if outcome == "end" then
      local mark_until = number(record[5])
      if mark_until and mark_until > now then
        plan("SET", seen, record[4] or "revoked", "PXAT", record[5])
      end
      owned[#owned + 1] = record[6] or nil
      unlinked[#unlinked + 1] = j
      for k = b, b_end - 1 do
        unlinked[#unlinked + 1] = KEYS[k]
      end
    else
      if state then
        plan("HDEL", j, "x", "r")
        if exact then
          plan("HSET", j, "s", state, "y", now)
        else
          plan("HSET", j, "s", state)
        end
      end
      if ordered then
        plan("HSET", j, "r", ordered)
      end
      if outcome == "keep" then
        plan("HSET", j, "k", after)
      elseif outcome == "back" then
        plan("HDEL", j, "k")
        if moves then
          plan("HSET", j, "q", queue)
        end
        wait(q, queue, job, now + delay)
      else
        plan("HDEL", j, "k", "f")
        plan("HSET", j, "h", fate == "hold" and (read("HGET", j, "h") or "by operator") or detail)
        held[#held + 1] = now
        held[#held + 1] = job
      end
    end
    if outcome ~= "keep" then
      released[#released + 1] = job
    end
    if name ~= "" then
      note(name, job, detail)
    end
  end
end

for _, list in ipairs(waiting) do
  redis.call("ZADD", d, "LT", list.first, list.queue)
  redis.call("ZADD", list.q, unpack(list))
end
if #held > 0 then
  redis.call("ZADD", h, unpack(held))
end
for _, command in ipairs(writes) do
  redis.call(unpack(command))
end
for from = 1, #unlinked, CHUNK_LIMIT do
  redis.call("UNLINK", unpack(unlinked, from, math.min(from + CHUNK_LIMIT - 1, #unlinked)))
end
if #released > 0 then
  redis.call("ZREM", c, unpack(released))
end
for _, field in ipairs(owned) do
  uncount(never, field)
end
for _, name in ipairs(names) do
  event(ev, name, lines[name])
end
return answers
