#!lua
-- Appends versions to the catalogue, all of them or none, and decides from when they are in force.
-- Everything is checked before the first write: Redis rolls nothing back.
--
-- KEYS  1 the catalogue, 2 meta, 3... the event stream of every partition
-- ARGV  1 expected revision, 2 effective_from or '' for the default, 3 how far ahead (ms) a version
--       still counts as a present one, 4 number n of instants at which a key of this change already
--       has a version, then those n instants, then head and tail of each entry's JSON: the instant
--       goes between them
-- reply {'applied', revision, instant} | {'moved', revision} | {'early', least instant}
--       | {'taken', instant} | {'partitions', recorded number}
-- No number here reaches 2^53, so Lua's doubles are exact; none of them is money.

local function whole(number)
  return string.format('%.0f', number)
end

local recorded = redis.call('HGET', KEYS[2], 'partitions')
if recorded and tonumber(recorded) ~= #KEYS - 2 then
  return {'partitions', recorded}
end

local revision = redis.call('LLEN', KEYS[1])
if revision ~= tonumber(ARGV[1]) then
  return {'moved', whole(revision)}
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local latest = now
local empty = true
for place = 3, #KEYS do
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

local count = tonumber(ARGV[4])
local effective = least
if ARGV[2] ~= '' then
  effective = tonumber(ARGV[2])
  if effective < least then
    return {'early', whole(least)}
  end
  for place = 5, 4 + count do
    if tonumber(ARGV[place]) == effective then
      return {'taken', whole(effective)}
    end
  end
else
  -- A change made without an instant follows every present version of its keys; scheduled ones stay ahead of it.
  local present = -1
  for place = 5, 4 + count do
    local instant = tonumber(ARGV[place])
    if instant <= latest + tonumber(ARGV[3]) then
      present = math.max(present, instant)
    end
  end
  if effective <= present then
    effective = math.max(now, present) + 1
  end
end

local text = whole(effective)
for place = 5 + count, #ARGV, 2 do
  revision = redis.call('RPUSH', KEYS[1], ARGV[place] .. text .. ARGV[place + 1])
end
return {'applied', whole(revision), text}
