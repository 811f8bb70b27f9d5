#!lua
-- Appends events that arrived in the log of another partition, each once.
--
-- KEYS[1] the log, KEYS[2] hash: other partition → the last event that it forwarded to this log
-- ARGV[1] the other partition, ARGV[2] the latest possible current instant in ms
-- ARGV[3..] for each event, in the order of the other log: its id there, the number of its words, its words
--
-- An event keeps its id if that is greater than all ids of this log, and not ahead of this server's clock. Otherwise it
-- gets a current one, so this log stays in the order of its ids.
--
-- Returns how many of the events, from the first one on, are in the log now. Fewer than all if the clock is ahead (see
-- ARGV[2]), or behind the id of an event.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(one, other)
  local ms, seq = parts(one)
  local ms2, seq2 = parts(other)
  return ms < ms2 or (ms == ms2 and seq < seq2)
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if now > tonumber(ARGV[2]) then
  return 0
end
local done = redis.call('HGET', KEYS[2], ARGV[1]) or '0-0'
local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local flat = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #flat, 2 do
    if flat[i] == 'last-generated-id' then
      last = flat[i + 1]
    end
  end
end
local at, count = 3, 0
while at <= #ARGV do
  local id, words = ARGV[at], tonumber(ARGV[at + 1])
  if parts(id) > now then
    break
  end
  if less(done, id) then
    last = redis.call('XADD', KEYS[1], less(last, id) and id or '*', unpack(ARGV, at + 2, at + 1 + words))
    done = id
  end
  at, count = at + 2 + words, count + 1
end
if count > 0 then
  redis.call('HSET', KEYS[2], ARGV[1], done)
end
return count
