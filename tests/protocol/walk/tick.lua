#!lua
-- ARGV now: sets the clock and removes what is past its time limit.
redis.call("SET", "clock", ARGV[1])
for _, key in ipairs(redis.call("ZRANGEBYSCORE", "ttl", "-inf", ARGV[1])) do
  redis.call("DEL", key)
  redis.call("ZREM", "ttl", key)
end
