#!lua
-- Makes a job exist: from here on the message is ours. The only script that a full Redis refuses. Couriers
-- send the same text as `carry`, which is not refused: a full queue must be able to expand its mail.
-- KEYS j seen q d ev never b...
-- ARGV job queue digest envelope state size mark_ms w detail [tenant delay [back]]
--      (size: bytes of all b, of which a child that reads its parent's has none; mark_ms: how long a repeat is
--      known after the commit; w: 1 if children read its content, else 0; tenant: whom it counts for, or empty;
--      delay: ms until it is due; most have neither; back: 1 if it may be made again after a move away from here)
-- answer: new again revoked clash incomplete

local j, seen, q, d, ev = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local job, queue, digest, envelope, state, size, mark_ms, w, detail, tenant, delay, back = unpack(ARGV)

if redis.call("EXISTS", seen, j) > 0 then
  -- The mark of a job that has ended, was moved to another store, or was revoked before it came; a job that lives is its own mark.
  local mark = redis.pcall("GET", seen) or read("HGET", j, "u")
  local was_moved = mark == "moved " .. digest
  -- What comes back keeps that mark until it ends: meanwhile the record is what says that it lives.
  if not (was_moved and back == "1" and redis.call("EXISTS", j) == 0) then
    return (was_moved or mark == digest) and "again" or mark == "revoked" and "revoked" or "clash"
  end
end
-- The content came by plain SETs; any of its chunks may have been lost or have run out of time.
local bytes = 0
for i = 7, #KEYS do
  local length = redis.pcall("STRLEN", KEYS[i])
  bytes = bytes + (type(length) == "number" and length or 0)
end
if bytes ~= tonumber(size) then
  return "incomplete"
end
local mark_until, due = text(now + mark_ms), text(delay and now + delay or now)
local chunks = #KEYS == 7 and "1" or text(#KEYS - 6)

-- Places first: if one of these fails, no record says that the job was accepted.
put(d, q, queue, job, due)
for i = 7, #KEYS do
  redis.call("PERSIST", KEYS[i])
end
redis.call("HSET", j, "q", queue, "u", digest, "e", envelope, "s", state, "n", chunks, "m", mark_until)
if w == "1" then
  redis.call("HSET", j, "w", w)
end
if tenant and tenant ~= "" then
  redis.call("HSET", j, "t", size .. " " .. tenant)
  tally(KEYS[6], tenant, 1, tonumber(size))
end
event(ev, "accepted", { "j", job, "x", detail })
return "new"
