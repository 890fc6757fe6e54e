-- Put before the prelude of every script: a Redis Cluster with the clock of the walk. No script may have a key for it, so
-- it comes as the last argument. Time limits are real ones, in a year that no test lives to see.
local real = redis
local clock = tonumber(table.remove(ARGV))
local function call(command, ...)
  local args = { ... }
  if command == "TIME" then
    return { string.format("%.0f", math.floor(clock / 1000)), string.format("%.0f", clock % 1000 * 1000) }
  elseif command == "SET" then
    for i = 3, #args do
      if args[i] == "EX" or args[i] == "PX" then
        args[i], args[i + 1] = "PXAT", clock + tonumber(args[i + 1]) * (args[i] == "EX" and 1000 or 1)
      end
    end
    return real.call("SET", unpack(args))
  elseif command == "PEXPIRE" then
    return real.call("PEXPIREAT", args[1], clock + tonumber(args[2]))
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
