#!lua flags=allow-oom
-- The write before a WAIT: replicas that acknowledge it have all that was seen and done before it on the same
-- connection. A primary that is cut off from its replicas would answer a WAIT without it from memory. It is never
-- refused, always passed on, and leaves nothing behind.
-- KEYS probe never
-- answer: ok

redis.call("SET", KEYS[1], "1")
redis.call("UNLINK", KEYS[1])
return "ok"
