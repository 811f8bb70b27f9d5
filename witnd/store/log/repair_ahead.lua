#!lua
-- Moves entries whose ids are too far ahead of the server's clock to new ids, in order, some in each call.
--
-- Redis gives smaller ids only when no id ahead is left in the log. So all entries ahead first move to another stream
-- under their old ids, then back under current ids. Each call moves complete entries, and the counts of the log stay
-- consistent: if the repair stops after any call, nothing is lost, and the next call continues. While the other stream
-- exists, the daemon applies nothing.
--
-- KEYS[1] the log, KEYS[2] state hash, KEYS[3] the other stream
-- ARGV[1] how many ms ahead an id may be, ARGV[2] '1' to move entries, '' to show them, ARGV[3] entries per call
--
-- Returns {'NONE', now}; {'PLAN', now, old id, '', ...} with the first entries; {'MORE', now} and {'MORE' or 'DONE',
-- now, old id, new id, ...} with the entries that moved back in this call; or, with nothing written,
-- {'READ', now, cursor}: the log was applied up to an id that is itself too far ahead;
-- {'WIDE', now, id}: this entry has more fields than a script can append.
local WORDS = 7000 -- Lua's stack holds some 8000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = string.format('%.0f', now)
local many = tonumber(ARGV[3])

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(one, other)
  local ms, seq = parts(one)
  local ms2, seq2 = parts(other)
  return ms < ms2 or (ms == ms2 and seq < seq2)
end
local function information(key)
  local flat, info = redis.call('XINFO', 'STREAM', key), {}
  for i = 1, #flat, 2 do
    info[flat[i]] = flat[i + 1]
  end
  return info
end

local begun = redis.call('EXISTS', KEYS[3]) == 1
if redis.call('EXISTS', KEYS[1]) == 0 and not begun then
  return { 'NONE', at }
end
-- The entries ahead start here. Once the repair has started, these are all entries after the moved ones, by any clock.
local border = string.format('%.0f-0', now + tonumber(ARGV[1]) + 1)
local from = border
if begun then
  border = information(KEYS[3])['last-generated-id']
  from = '(' .. border
end
local info = information(KEYS[1])
local last, deleted = info['last-generated-id'], info['max-deleted-entry-id']
if not begun and less(last, border) then
  return { 'NONE', at }
end
local cursor = redis.call('HGET', KEYS[2], 'cursor') or '0-0'
if not begun and not less(cursor, border) then
  return { 'READ', at, cursor }
end
local ahead = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', many)
for _, entry in ipairs(ahead) do
  if #entry[2] > WORDS then
    return { 'WIDE', at, entry[1] }
  end
end
if ARGV[2] ~= '1' then
  local answer = { 'PLAN', at }
  if begun then
    ahead = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', many)
  end
  for _, entry in ipairs(ahead) do
    answer[#answer + 1] = entry[1]
    answer[#answer + 1] = ''
  end
  return answer
end

for _, entry in ipairs(ahead) do
  redis.call('XADD', KEYS[3], entry[1], unpack(entry[2]))
  redis.call('XDEL', KEYS[1], entry[1])
end
if #ahead > 0 or not begun then
  local added = string.format('%.0f', tonumber(info['entries-added']) - #ahead)
  local rest = #ahead > 0 and redis.call('XRANGE', KEYS[1], '(' .. ahead[#ahead][1], '+', 'COUNT', 1) or {}
  if deleted == '0-0' and #ahead > 0 then
    deleted = '0-1' -- it cannot be reset to 0-0; at or before all read entries
  end
  if rest[1] then
    redis.call('XSETID', KEYS[1], last, 'ENTRIESADDED', added, 'MAXDELETEDID', deleted)
    return { 'MORE', at }
  end
  -- No entry is ahead any more: set the last id back to the end of the correct part.
  local sound = cursor
  local before = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
  if before[1] and less(sound, before[1][1]) then
    sound = before[1][1]
  end
  if not less(deleted, begun and redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', 1)[1][1] or border) then
    -- Another program deleted unread entries that were ahead: this must stay visible as a gap.
    local ms, seq = parts(sound)
    sound = string.format('%.0f-%.0f', ms, seq + 1)
    deleted = sound
  elseif less(sound, deleted) then
    sound = deleted
  end
  -- In two steps: the last id cannot go below the greatest deleted one.
  redis.call('XSETID', KEYS[1], last, 'MAXDELETEDID', deleted)
  redis.call('XSETID', KEYS[1], sound, 'ENTRIESADDED', added, 'MAXDELETEDID', deleted)
end

local answer = { 'DONE', at }
for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', many)) do
  answer[#answer + 1] = entry[1]
  answer[#answer + 1] = redis.call('XADD', KEYS[1], '*', unpack(entry[2]))
  redis.call('XDEL', KEYS[3], entry[1])
end
if redis.call('XLEN', KEYS[3]) == 0 then
  redis.call('DEL', KEYS[3])
else
  answer[1] = 'MORE'
end
return answer
