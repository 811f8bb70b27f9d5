#!lua
-- Prepares the log of a new partition: its ids continue after those of the log that its outcomes come from.
--
-- KEYS[1] the log
-- ARGV[1] the last entry of the other log that its outcomes may have
--
-- Returns '' if the log is ready, or, with nothing written, the id of its first entry ('0-0' if there is none): another
-- program appended to it or deleted from it before the repartition. The call may be repeated.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(one, other)
  local ms, seq = parts(one)
  local ms2, seq2 = parts(other)
  return ms < ms2 or (ms == ms2 and seq < seq2)
end
local info = { ['last-generated-id'] = '0-0', ['entries-added'] = 0, ['max-deleted-entry-id'] = '0-0' }
if redis.call('EXISTS', KEYS[1]) == 1 then
  local flat = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #flat, 2 do
    info[flat[i]] = flat[i + 1]
  end
end
local length = redis.call('XLEN', KEYS[1])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
if info['entries-added'] ~= length or info['max-deleted-entry-id'] ~= '0-0' then
  return first[1] and first[1][1] or '0-0'
end
if first[1] then
  -- Events that arrived early are read like all others, if they follow those of the other log.
  return less(ARGV[1], first[1][1]) and '' or first[1][1]
end
if less(info['last-generated-id'], ARGV[1]) then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'witnd-repartition', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'witnd-repartition')
  redis.call('XSETID', KEYS[1], ARGV[1])
end
return ''
