#!lua
-- Move entries whose ids lie too far ahead of the server's clock to new ids, in their order.
--
-- KEYS[1] the log, KEYS[2] state hash
-- ARGV[1] how many ms ahead an id may be, ARGV[2] '1' to do it, '' to tell what would be done
--
-- Answers {'NONE', now}; {'PLAN' or 'DONE', now, old id, new id ('' in a plan), ...}; or, with nothing written,
-- {'READ', now, cursor}: the log was applied up to an id that is itself too far ahead;
-- {'WIDE', now, id}: this entry has more fields than a script can append.
local WORDS = 7000 -- Lua's stack holds some 8000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = string.format('%.0f', now)
local start = string.format('%.0f', now + tonumber(ARGV[1]) + 1)

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(one, other)
  local ms, seq = parts(one)
  local ms2, seq2 = parts(other)
  return ms < ms2 or (ms == ms2 and seq < seq2)
end

if redis.call('EXISTS', KEYS[1]) == 0 then
  return { 'NONE', at }
end
local flat, info = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #flat, 2 do
  info[flat[i]] = flat[i + 1]
end
local last, deleted = info['last-generated-id'], info['max-deleted-entry-id']
if less(last, start .. '-0') then
  return { 'NONE', at }
end
local cursor = redis.call('HGET', KEYS[2], 'cursor') or '0-0'
if not less(cursor, start .. '-0') then
  return { 'READ', at, cursor }
end

-- All that is ahead, and where the sound part ends.
local ahead = redis.call('XRANGE', KEYS[1], start .. '-0', '+')
for _, entry in ipairs(ahead) do
  if #entry[2] > WORDS then
    return { 'WIDE', at, entry[1] }
  end
end
local answer = { ARGV[2] == '1' and 'DONE' or 'PLAN', at }
if ARGV[2] ~= '1' then
  for _, entry in ipairs(ahead) do
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = ''
  end
  return answer
end
local sound = cursor
local before = redis.call('XREVRANGE', KEYS[1], '(' .. start .. '-0', '-', 'COUNT', 1)
if before[1] and less(sound, before[1][1]) then
  sound = before[1][1]
end
local gone = not less(deleted, start .. '-0')
if not gone and less(sound, deleted) then
  sound = deleted
end
if gone then
  -- Somebody deleted entries that were ahead and nobody had read: that must stay visible as a gap.
  local ms, seq = parts(sound)
  sound = string.format('%.0f-%.0f', ms, seq + 1)
  deleted = sound
end
local added = tonumber(info['entries-added']) - #ahead

if deleted == '0-0' and cursor == '0-0' then
  -- Nothing was ever deleted or read, and no command can set the greatest deleted id back to nothing: write the log anew.
  local kept = redis.call('XRANGE', KEYS[1], '-', '(' .. start .. '-0')
  for _, entry in ipairs(kept) do
    if #entry[2] > WORDS then
      return { 'WIDE', at, entry[1] }
    end
  end
  redis.call('DEL', KEYS[1])
  for _, entry in ipairs(kept) do
    redis.call('XADD', KEYS[1], entry[1], unpack(entry[2]))
  end
  if #kept > 0 then
    redis.call('XSETID', KEYS[1], sound, 'ENTRIESADDED', string.format('%.0f', added))
  end
else
  for _, entry in ipairs(ahead) do
    redis.call('XDEL', KEYS[1], entry[1])
  end
  if deleted == '0-0' then
    deleted = '0-1' -- at or before whatever was read
  end
  -- In two steps: the last id cannot go below the greatest deleted one.
  redis.call('XSETID', KEYS[1], last, 'MAXDELETEDID', deleted)
  redis.call('XSETID', KEYS[1], sound, 'ENTRIESADDED', string.format('%.0f', added), 'MAXDELETEDID', deleted)
end
for _, entry in ipairs(ahead) do
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = redis.call('XADD', KEYS[1], '*', unpack(entry[2]))
end
return answer
