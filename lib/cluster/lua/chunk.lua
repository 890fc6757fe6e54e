#!lua flags=allow-oom
-- SET of a chunk, for couriers whose plain SET was refused for memory. NX: a repeat, or a request that comes
-- late, must not put a time limit back on content that has become permanent.
-- KEYS b never
-- ARGV bytes ttl                       (ttl: seconds)
-- answer: ok

redis.call("SET", KEYS[1], ARGV[1], "EX", ARGV[2], "NX")
return "ok"
