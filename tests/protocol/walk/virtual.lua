-- Put before the prelude of every script: Redis with the clock of the walk. TIME and time limits follow the
-- key `clock` (ms); what has a limit stands in the zset `ttl`.
local real = redis
local clock = tonumber(real.call("GET", "clock"))
local function forget_limits(...)
  for _, key in ipairs({ ... }) do
    real.call("ZREM", "ttl", key)
  end
end
local function call(command, ...)
  local args = { ... }
  if command == "TIME" then
    return { string.format("%.0f", math.floor(clock / 1000)), string.format("%.0f", clock % 1000 * 1000) }
  elseif command == "SET" then
    local ends, is_new
    for i = 3, #args do
      if args[i] == "EX" then
        ends = clock + tonumber(args[i + 1]) * 1000
      elseif args[i] == "PX" then
        ends = clock + tonumber(args[i + 1])
      elseif args[i] == "PXAT" then
        ends = tonumber(args[i + 1])
      elseif args[i] == "NX" then
        is_new = true
      end
    end
    if is_new and real.call("EXISTS", args[1]) == 1 then
      return false
    end
    forget_limits(args[1])
    real.call("SET", args[1], args[2])
    if ends then
      real.call("ZADD", "ttl", ends, args[1])
    end
    return { ok = "OK" }
  elseif command == "PERSIST" then
    forget_limits(args[1])
    return 1
  elseif command == "PEXPIRE" then
    forget_limits(args[1])
    real.call("ZADD", "ttl", clock + tonumber(args[2]), args[1])
    return 1
  elseif command == "PTTL" then
    local ends = real.call("ZSCORE", "ttl", args[1])
    return real.call("EXISTS", args[1]) == 0 and -2 or ends and math.max(0, tonumber(ends) - clock) or -1
  elseif command == "UNLINK" then
    forget_limits(...)
  end
  return real.call(command, ...)
end
local redis = {
  call = call,
  pcall = function(...)
    local fine, reply = pcall(call, ...)
    if fine or type(reply) == "table" then
      return reply
    end
    return { err = tostring(reply) }
  end,
}
