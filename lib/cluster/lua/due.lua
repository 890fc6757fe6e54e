#!lua flags=allow-oom
-- Finds queues with work, and puts each off by `park`, so that an owner can page through more than it tracks.
-- Each commit, defer or release brings its queue forward again.
-- KEYS d never
-- ARGV n horizon park t                (horizon, park: ms)
-- answer: {{{queue, waiting, due, paused}, ...}, the lowest score left in d, or ""}
--         (paused: 1 while a pause that is over is on record, else 0)

local d = KEYS[1]
local n, horizon, park, t = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
n = math.min(n, BATCH_LIMIT)

local found, moved, dropped = {}, {}, {}
local function move(queue, at)
  moved[#moved + 1] = at
  moved[#moved + 1] = queue
end

for _, queue in ipairs(redis.call("ZRANGEBYSCORE", d, "-inf", now + horizon, "LIMIT", 0, n)) do
  local q = "q:{" .. t .. "}:" .. queue
  local first = read("ZRANGE", q, 0, 0, "WITHSCORES")
  if not first then
    move(queue, now + park) -- of the wrong type: it may not stand before the others
  elseif not first[1] then
    dropped[#dropped + 1] = queue
  else
    local paused = pause_of("s:{" .. t .. "}:" .. queue)
    local at = math.max(tonumber(first[2]), paused or 0)
    if at > now then
      move(queue, at)
    else
      found[#found + 1] = { queue, redis.call("ZCARD", q), redis.call("ZCOUNT", q, "-inf", now), paused and 1 or 0 }
      move(queue, now + park)
    end
  end
end

if #dropped > 0 then
  redis.call("ZREM", d, unpack(dropped))
end
if #moved > 0 then
  redis.call("ZADD", d, unpack(moved))
end
return { found, redis.call("ZRANGE", d, 0, 0, "WITHSCORES")[2] or "" }
