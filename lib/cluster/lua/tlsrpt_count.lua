#!lua flags=allow-oom
-- Adds to what is counted of TLS sessions: one hash for each policy domain and day, "<day> <domain>".
-- KEYS barid:{c}:tlsrpt:due barid:{c}:tlsrpt:last:<incarnation>, per report: barid:{c}:tlsrpt:of:<name>
-- ARGV seq keep_ms most_reports most_rows, per report: name due_ms n, n times: field value
--      (seq: grows with each call of that courier; keep_ms: how long what nobody takes stays; a field that begins
--      with P is a text, the first one stays; every other is a number, which is added)
-- answer: how many numbers were passed over: their report was taken before, or there is no room; or "again"
--
-- A report that was taken once counts no more: all who take it read the same.

local due, last = KEYS[1], KEYS[2]
local seq, keep_ms, most_reports, most_rows = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

if (number(redis.call("GET", last)) or 0) >= seq then
  return "again"
end
local reports, dropped, arg = redis.call("ZCARD", due), 0, 5
local writes = {}
local function plan(...)
  writes[#writes + 1] = { ... }
end

for i = 3, #KEYS do
  local key, name, due_ms, count = KEYS[i], ARGV[arg], ARGV[arg + 1], tonumber(ARGV[arg + 2])
  local is_known = redis.call("ZSCORE", due, name)
  local rows, is_taken = read("HLEN", key), read("HEXISTS", key, ".taken")
  local is_open = rows and is_taken == 0 and (is_known or rows == 0 and reports < most_reports)
  if is_open and not is_known then
    reports = reports + 1
    plan("ZADD", due, due_ms, name)
  end
  local has_policy = {} -- by digest: sessions are of use only with the policy they were under
  for _, kinds in ipairs({ "P", "SF", "D" }) do
    for at = arg + 3, arg + 2 * count + 1, 2 do
      local field, value = ARGV[at], ARGV[at + 1]
      local kind, digest = string.sub(field, 1, 1), string.sub(field, 2, 33)
      if string.find(kinds, kind, 1, true) then
        local held = is_open and redis.call("HGET", key, field)
        if is_open and not held and rows < most_rows and (kind == "P" or has_policy[digest]) then
          rows = rows + 1
          plan("HSET", key, field, value)
          has_policy[digest] = true
        elseif is_open and held and kind ~= "P" and number(held) then
          plan("HINCRBY", key, field, value)
        elseif held and kind == "P" then
          has_policy[digest] = true
        elseif kinds == "SF" then
          dropped = dropped + tonumber(value)
        end
      end
    end
  end
  if is_open then
    plan("PEXPIRE", key, keep_ms)
  end
  arg = arg + 3 + 2 * count
end

redis.call("SET", last, ARGV[1], "PX", keep_ms)
for _, command in ipairs(writes) do
  redis.call(unpack(command))
end
return dropped
