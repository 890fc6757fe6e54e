#!lua flags=allow-oom
-- Shares slots among nodes: each key a hash, node -> "<slots> <until, ms>"; what a node does not renew is over.
-- KEYS never n...
-- ARGV node ttl_ms, per n: most held want
--      (most: slots in all; held: those in use here, which count whatever the limit; want: those and what is
--      asked for; 0 and 0: none any more)
-- answer: per n, how many of `want` the node has now
--
-- Every call says it all, so a repeat changes nothing.

local NODES_MOST = 8192
local node, ttl_ms = ARGV[1], tonumber(ARGV[2])

local answers, writes = {}, {}
local function plan(...)
  writes[#writes + 1] = { ... }
end

for i = 2, #KEYS do
  local most, held, want = unpack(ARGV, 3 * i - 3, 3 * i - 1)
  most, held, want = tonumber(most), tonumber(held), tonumber(want)
  local size = read("HLEN", KEYS[i])
  if not size or size > NODES_MOST then
    plan("UNLINK", KEYS[i]) -- nothing of ours
    size = 0
  end

  local taken = 0
  local fields = size > 0 and redis.call("HGETALL", KEYS[i]) or {}
  for at = 1, #fields, 2 do
    local slots, ends = string.match(fields[at + 1], "^(%d+) (%d+)$")
    slots, ends = number(slots), number(ends)
    -- An end further off than a node's slots last is a clock that jumped: it is over.
    if not slots or not ends or ends <= now or ends > now + ttl_ms then
      plan("HDEL", KEYS[i], fields[at])
    elseif fields[at] ~= node then
      taken = taken + slots
    end
  end

  local granted = math.max(held, math.min(want, most - taken))
  if granted > 0 then
    plan("HSET", KEYS[i], node, text(granted) .. " " .. text(now + ttl_ms))
    plan("PEXPIRE", KEYS[i], ttl_ms)
  else
    plan("HDEL", KEYS[i], node)
  end
  answers[i - 1] = granted
end

for _, command in ipairs(writes) do
  redis.call(unpack(command))
end
return answers
