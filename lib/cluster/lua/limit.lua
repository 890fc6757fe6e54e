#!lua flags=allow-oom
-- Hands out tokens of buckets, each a key of its own: "<tokens gone> <when, us>", gone by itself once it is full.
-- KEYS never l...
-- ARGV per l: count per_ms burst back need least wish
--      (a bucket of `burst` tokens gains `count` in `per_ms`; back: tokens not used after all; need: tokens wanted,
--      in parts of which the smallest is `least`; wish: tokens beyond, while there are plenty)
-- answer: per l, {granted, left, ms until `least` more can be had}
--
-- Nothing is written where no token moves: time is not cut into pieces, however often a bucket is looked at. No
-- call here can fail, so keys are written one by one; each is whole.

local PLENTY = 16 -- of what is left, a slice takes one part at most

local answers, arg = {}, 1
for i = 2, #KEYS do
  local key = KEYS[i]
  local count, per_ms, burst, back, need, least, wish = unpack(ARGV, arg, arg + 6)
  count, per_ms, burst, back = tonumber(count), tonumber(per_ms), tonumber(burst), tonumber(back)
  need, least, wish = tonumber(need), tonumber(least), tonumber(wish)
  arg = arg + 7

  local value, gone, at = redis.pcall("GET", key), nil, nil
  if type(value) == "string" then
    gone, at = string.match(value, "^([%d.e+-]+) (%d+)$")
    gone, at = tonumber(gone), number(at)
  end
  if not gone or not at then
    gone, at = 0, now_us -- nothing, or nothing of ours: full
  end
  -- A clock that went back gives nothing, and counts from where it is now.
  local moved = now_us < at
  gone = math.max(0, math.min(gone, burst) - math.max(0, now_us - at) / 1000 * count / per_ms)
  if back > 0 then
    gone, moved = math.max(0, gone - back), true
  end

  local left = math.floor(burst - gone)
  local granted = 0
  if left >= least then
    granted = math.min(need, left)
    if wish > 0 then
      granted = granted + math.min(wish, math.floor((left - granted) / PLENTY))
    end
  end
  gone, left, moved = gone + granted, left - granted, moved or granted > 0
  local short = least - (burst - gone)
  answers[i - 1] = { granted, left, short > 0 and math.ceil(short * per_ms / count) or 0 }
  if moved and gone > 0 then
    redis.call("SET", key, string.format("%.17g %d", gone, now_us), "PX", text(math.ceil(gone * per_ms / count)))
  elseif moved then
    redis.call("UNLINK", key)
  end
end
return answers
