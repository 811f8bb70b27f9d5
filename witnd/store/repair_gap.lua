#!lua
-- Accept that entries were deleted before they were read.
--
-- The daemon stops where the greatest deleted id of the log lies behind what was read, or where trimming took entries
-- that were never read (which leaves no such id, but a number of entries that does not add up). To accept the loss is to
-- set that id back to the cursor and to count what is gone as read; so the acceptance is of this gap alone, and a later
-- one stops the daemon again.
--
-- KEYS[1] the log, KEYS[2] state hash, KEYS[3] owner lease
-- ARGV[1] '1' to do it, '' to tell what would be done
--
-- Answers {'NONE', cursor, deleted}, {'PLAN' or 'DONE', cursor, greatest deleted id}; or, with nothing written,
-- {'OWNED', lease}: a daemon works on the partition; {'LOST', cursor, last id}: the log ends before what was read;
-- {'FIRST', id}: the log begins with the one id that leaves no room for an acceptance.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function less(one, other)
  local ms, seq = parts(one)
  local ms2, seq2 = parts(other)
  return ms < ms2 or (ms == ms2 and seq < seq2)
end

local cursor = redis.call('HGET', KEYS[2], 'cursor') or '0-0'
if redis.call('EXISTS', KEYS[1]) == 0 then
  return { 'NONE', cursor, '0-0' }
end
local flat, info = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #flat, 2 do
  info[flat[i]] = flat[i + 1]
end
local last, deleted = info['last-generated-id'], info['max-deleted-entry-id']
if less(last, cursor) then
  return { 'LOST', cursor, last }
end
local first, length, added = info['recorded-first-entry-id'], info['length'], info['entries-added']
local unread = length
if length > 0 and not less(cursor, first) then
  unread = #redis.call('XRANGE', KEYS[1], '(' .. cursor, '+')
end
local read = added - unread
local missing = read - tonumber(redis.call('HGET', KEYS[2], 'read') or '0')
if not less(cursor, deleted) and (missing <= 0 or unread ~= length) then
  return { 'NONE', cursor, deleted }
end
if ARGV[1] ~= '1' then
  return { 'PLAN', cursor, deleted }
end
local owner = redis.call('GET', KEYS[3])
if owner then
  return { 'OWNED', owner }
end
local accepted = cursor
if cursor == '0-0' then
  -- The greatest deleted id cannot be set back to nothing, so the cursor moves by the one id before all others.
  accepted = '0-1'
  local taken = redis.call('XRANGE', KEYS[1], '-', accepted, 'COUNT', 1)
  if taken[1] then
    return { 'FIRST', taken[1][1] }
  end
  redis.call('HSET', KEYS[2], 'cursor', accepted)
end
redis.call('HSET', KEYS[2], 'read', string.format('%d', read))
redis.call('XSETID', KEYS[1], last, 'MAXDELETEDID', accepted)
return { 'DONE', cursor, deleted }
