#!lua
-- Appends versions to the catalogue with their entries of the change log, all of them or none, and decides from when
-- the versions are in effect. All is checked before the first write, because Redis has no rollback.
--
-- In a cluster the logs are in other slots, so the caller reads them, and allows the write until a given time.
--
-- KEYS  1 the catalogue, 2 its head, 3 the change log; not in a cluster: 4 meta, 5... the event stream of every partition
-- ARGV  1 expected head ('<number of versions> <digest>'), 2 effective_from or '' for the default
--       3 the instant for which the change was planned (only for the default)
--       4 in a cluster: the earliest possible instant, and 5 the instant of this server's clock after which nothing is
--         written; else '' and ''
--       6 number n of instants at which a key of this change already has a version, then those n instants
--       then the number m of entries for the change log, then head and tail of the JSON of each,
--       then head and tail of the JSON of each version: the instant goes between head and tail
-- Returns {'applied', revision, instant} | {'moved', head} | {'wait', taken instant} | {'early', earliest instant}
--       | {'taken', instant} | {'partitions', recorded number} | {'damaged', number of versions, head}
--       | {'late', the server's clock}
-- No number here reaches 2^53, so Lua's doubles are exact; none of them is money.

local function whole(number)
  return string.format('%.0f', number)
end

local apart = ARGV[4] ~= ''
if not apart then
  local recorded = redis.call('HGET', KEYS[4], 'partitions')
  if recorded and tonumber(recorded) ~= #KEYS - 4 then
    return {'partitions', recorded}
  end
end

local length = redis.call('LLEN', KEYS[1])
local head = redis.call('GET', KEYS[2]) or ('0 ' .. string.rep('0', 40))
local revision, digest = string.match(head, '^(%d+) (%x+)$')
if tonumber(revision) ~= length then
  return {'damaged', whole(length), head}
end
if head ~= ARGV[1] then
  return {'moved', head}
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if apart and now > tonumber(ARGV[5]) then
  return {'late', whole(now)}
end
local latest = now
local empty = true
for place = 5, #KEYS do
  if redis.call('EXISTS', KEYS[place]) == 1 then
    local info = redis.call('XINFO', 'STREAM', KEYS[place])
    for field = 1, #info, 2 do
      if info[field] == 'last-generated-id' and info[field + 1] ~= '0-0' then
        empty = false
        latest = math.max(latest, tonumber(string.match(info[field + 1], '^%d+')))
      end
    end
  end
end
local least = empty and 0 or latest + 1
if apart then
  least = tonumber(ARGV[4])
  empty = least == 0
  latest = math.max(latest, least - 1)
end

local count = tonumber(ARGV[6])
local taken = {}
local past = false
for place = 7, 6 + count do
  local instant = tonumber(ARGV[place])
  taken[instant] = true
  past = past or instant <= latest + 1
end
local effective = tonumber(ARGV[2])
if effective then
  if effective < least then
    return {'early', whole(least)}
  end
  if taken[effective] then
    return {'taken', whole(effective)}
  end
else
  -- A change without an instant is in effect from now on, whatever is scheduled. While every log is empty, that is
  -- instant 0, except for a key that already has a version.
  effective = least
  if empty and past then
    effective = latest + 1
  end
  if latest > now then
    -- Waiting for the clock to reach entries that are ahead of it would take too long.
    while taken[effective] do
      effective = effective + 1
    end
  elseif taken[effective] then
    return {'wait', whole(effective)}
  end
  -- A version took effect since the change was planned, so the change must be planned against it.
  for instant in pairs(taken) do
    if tonumber(ARGV[3]) < instant and instant < effective then
      return {'wait', whole(instant)}
    end
  end
end

local text = whole(effective)
local place = 7 + count
local versions = place + 1 + 2 * tonumber(ARGV[place])
for at = versions, #ARGV, 2 do
  local entry = ARGV[at] .. text .. ARGV[at + 1]
  digest = redis.sha1hex(digest .. entry)
  length = redis.call('RPUSH', KEYS[1], entry)
end
redis.call('SET', KEYS[2], whole(length) .. ' ' .. digest)
for at = place + 1, versions - 1, 2 do
  redis.call('XADD', KEYS[3], '*', 'data', ARGV[at] .. text .. ARGV[at + 1])
end
return {'applied', whole(length), text}
