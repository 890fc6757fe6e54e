#!lua flags=allow-oom
-- Writes what every node must agree on, once and whole, and answers with what is stored: the caller compares.
-- KEYS barid:{c}:meta
-- ARGV schema partitions hash
-- answer: {schema, partitions, hash} as stored; a field is nil if another program wrote the key

local meta = KEYS[1]
local schema, partitions, hash = unpack(ARGV)

if redis.call("EXISTS", meta) == 0 then
  redis.call("HSET", meta, "schema", schema, "partitions", partitions, "hash", hash)
end
return redis.call("HMGET", meta, "schema", "partitions", "hash")
