#!lua
-- ARGV t: what is wrong in this partition, one sentence each.
local t = ARGV[1]
local wrong, places = {}, {}
local truth = {} -- what tenants have: fields of t:{t} by the envelopes and chunks of living jobs

local function complain(...)
  wrong[#wrong + 1] = table.concat({ ... }, " ")
end
local function keys(kind)
  local prefix = kind .. ":{" .. t .. "}:"
  local found = {}
  for _, key in ipairs(redis.call("KEYS", prefix .. "*")) do
    found[#found + 1] = { key, string.sub(key, #prefix + 1) }
  end
  return found
end
local function settle_in(job, place)
  if places[job] then
    complain("two places:", job, places[job], place)
  end
  places[job] = place
end

for _, place in ipairs({ "c", "h" }) do
  for _, job in ipairs(redis.call("ZRANGE", place .. ":{" .. t .. "}", 0, -1)) do
    settle_in(job, place)
  end
end
for _, found in ipairs(keys("q")) do
  local key, queue = unpack(found)
  if not redis.call("ZSCORE", "d:{" .. t .. "}", queue) then
    complain("not in d:", queue)
  end
  for _, job in ipairs(redis.call("ZRANGE", key, 0, -1)) do
    settle_in(job, "q")
    local own = redis.call("HGET", "j:{" .. t .. "}:" .. job, "q")
    if own and own ~= queue then
      complain("wrong queue:", job, queue, own)
    end
  end
end
local function belong(job, envelope, chunks)
  local tenant = cjson.decode(envelope).tenant
  if tenant and tenant ~= "" then
    local bytes = 0
    for i = 0, tonumber(chunks) - 1 do
      bytes = bytes + redis.call("STRLEN", "b:{" .. t .. "}:" .. job .. ":" .. i)
    end
    truth["m:" .. tenant] = (truth["m:" .. tenant] or 0) + 1
    truth["b:" .. tenant] = (truth["b:" .. tenant] or 0) + bytes
  end
end
for _, found in ipairs(keys("j")) do
  local key, job = unpack(found)
  local token, chunks, queue, digest, mark = unpack(redis.call("HMGET", key, "k", "n", "q", "u", "m"))
  if not places[job] then
    complain("no place:", job)
  end
  if (token ~= false) ~= (places[job] == "c") then
    complain("token without claim, or claim without token:", job)
  end
  if not (chunks and queue and digest and mark) then
    complain("half a record:", job)
  else
    for i = 0, tonumber(chunks) - 1 do
      local b = "b:{" .. t .. "}:" .. job .. ":" .. i
      if redis.call("EXISTS", b) == 0 then
        complain("content lost:", job)
      elseif redis.call("ZSCORE", "ttl", b) then
        complain("content has a time limit:", job)
      end
    end
    belong(job, redis.call("HGET", key, "e"), chunks)
  end
  local seen = redis.call("GET", "seen:{" .. t .. "}:" .. job)
  if seen and seen ~= "revoked" then
    complain("marked as ended but alive:", job)
  end
end
for _, found in ipairs(keys("b")) do
  local b, rest = unpack(found)
  local job = string.match(rest, "^(.*):%d+$")
  if redis.call("EXISTS", "j:{" .. t .. "}:" .. job) == 0 and not redis.call("ZSCORE", "ttl", b) then
    complain("content leaked:", b)
  end
end
local counts = redis.call("HGETALL", "t:{" .. t .. "}")
for i = 1, #counts, 2 do
  if tonumber(counts[i + 1]) ~= truth[counts[i]] then
    complain("wrong count of a tenant:", counts[i], counts[i + 1], "not", truth[counts[i]] or "none")
  end
  truth[counts[i]] = nil
end
for field, count in pairs(truth) do
  if count > 0 then
    complain("a tenant is not counted:", field, count)
  end
end
for job, place in pairs(places) do
  if place ~= "h" and redis.call("EXISTS", "j:{" .. t .. "}:" .. job) == 0 then
    complain("no record:", job)
  end
end
return wrong
