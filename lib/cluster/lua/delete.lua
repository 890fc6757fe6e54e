#!lua flags=allow-oom
-- Deletes a job for the operator, or (revoke) takes back a commit whose outcome ingress does not know.
-- KEYS j seen q c h d ev never       (q: the queue of the job, as far as the caller knows; without a record, any)
-- ARGV job revoke t                  (revoke: 1, 0, or moved: it is in another store now, and its mark says so: it may come back)
-- answer: deleted gone later claimed

local j, seen, q, c, h, d, ev, never = unpack(KEYS)
local job, revoke, moved, t = ARGV[1], ARGV[2] == "1", ARGV[2] == "moved", ARGV[3]

local _, home = home_of(j)
q = home or q
local at = place(q, c, h, job)
local exists = redis.call("EXISTS", j) == 1
local record = read("HMGET", j, "q", "u", "n", "m", "w", "x", "y", "t") -- nil: of the wrong type
local queue, digest, chunks, mark_until, w, x, y, owned = unpack(record or {})
local mark = read("GET", seen)
check(d)

if revoke and (at == "c" or y or x or (mark ~= false and mark ~= "revoked")) then
  return "claimed" -- a copy may have left
end
local told = digest or "revoked"
if moved and digest and string.sub(digest, 1, 6) ~= "moved " then
  told = "moved " .. digest
end
local content = {}
if exists and record then
  -- A count that is no number hides chunks: then as many as there are.
  local most = number(chunks)
  for i = 0, math.min(most or CHUNK_LIMIT, CHUNK_LIMIT) - 1 do
    local b = "b:{" .. t .. "}:" .. job .. ":" .. i
    if not most and redis.call("EXISTS", b) == 0 then
      break
    end
    content[#content + 1] = b
  end
end

if revoke then
  -- Also when there is no job: the commit may still be on its way.
  redis.call("SET", seen, "revoked", "EX", 3600)
end
if not exists then
  if at ~= "c" then
    redis.call("ZREM", q, job)
    redis.call("ZREM", h, job)
  end
  return "gone"
end
if at == "c" then
  if record then
    redis.call("HSET", j, "f", "delete")
    redis.call("HDEL", j, "r") -- no undo of what was before
  end
  return "later"
end
if w and y and queue then
  -- Children may live and read this content: it goes after the last of them, and no more are made.
  redis.call("HSET", j, "f", "delete")
  redis.call("HDEL", j, "r")
  if moved then
    redis.call("HSET", j, "u", told)
  end
  if at == "h" then
    put(d, q, queue, job, now)
    redis.call("ZREM", h, job)
    redis.call("HDEL", j, "x", "h")
  end
  return "later"
end
if not revoke then
  -- A carry of it may still be on its way. Without a readable digest nothing may pass for this job again.
  redis.call("SET", seen, told, "PXAT", math.max(number(mark_until) or 0, now + 3600000))
end
redis.call("ZREM", q, job)
redis.call("ZREM", h, job)
redis.call("UNLINK", j, unpack(content))
if owned then
  uncount(never, owned)
end
event(ev, "deleted", { "j", job, "x", revoke and "revoked" or moved and "moved to another store" or "by operator" })
return "deleted"
