#!lua
-- Accepts a log with missing entries: counts them as read, so that the numbers add up again.
--
-- A later gap stops the daemon again, because the number of entries does not add up any more, or the greatest deleted
-- id is after the cursor.
--
-- KEYS[1] the log, KEYS[2] state hash, KEYS[3] owner lease
-- ARGV[1] cursor and ARGV[2] number of read entries, as the caller read them
-- ARGV[3] the greatest deleted id that the caller read, '' if there is no log
-- ARGV[4] the number of read entries to write, ARGV[5] how many of them were lost
-- ARGV[6] '1' if the log is empty and ends before the cursor: its last id becomes the cursor
--
-- Returns {'DONE'}; or, with nothing written, {'OWNED', lease}: a daemon owns the partition; {'CHANGED'}: the data
-- changed since the caller read it; {'FIRST', id}: the log starts with the smallest id, so the gap cannot be accepted.
local owner = redis.call('GET', KEYS[3])
if owner then
  return { 'OWNED', owner }
end
local state = redis.call('HMGET', KEYS[2], 'cursor', 'read')
local cursor = state[1] or '0-0'
local info = {}
if redis.call('EXISTS', KEYS[1]) == 1 then
  local flat = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #flat, 2 do
    info[flat[i]] = flat[i + 1]
  end
end
local deleted, last = info['max-deleted-entry-id'] or '', info['last-generated-id']
if cursor ~= ARGV[1] or (state[2] or '0') ~= ARGV[2] or deleted ~= ARGV[3] then
  return { 'CHANGED' }
end
if ARGV[6] == '1' then
  if (info['length'] or 0) ~= 0 then
    return { 'CHANGED' }
  end
  last = cursor
end
local accepted = cursor
if cursor == '0-0' and deleted ~= '0-0' and deleted ~= '' then
  -- The greatest deleted id cannot be reset to 0-0, so the cursor moves to the smallest id.
  accepted = '0-1'
  local taken = redis.call('XRANGE', KEYS[1], '-', accepted, 'COUNT', 1)
  if taken[1] then
    return { 'FIRST', taken[1][1] }
  end
end
if deleted == '' then
  redis.call('XGROUP', 'CREATE', KEYS[1], 'witnd-repair', '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[1], 'witnd-repair')
end
redis.call('HSET', KEYS[2], 'cursor', accepted, 'read', ARGV[4])
redis.call('HINCRBY', KEYS[2], 'gaps', 1)
redis.call('HINCRBY', KEYS[2], 'lost', ARGV[5])
if ARGV[6] == '1' then
  redis.call('XSETID', KEYS[1], last, 'ENTRIESADDED', ARGV[4], 'MAXDELETEDID', deleted == '' and '0-0' or deleted)
elseif deleted ~= '0-0' and deleted ~= '' then
  redis.call('XSETID', KEYS[1], last, 'MAXDELETEDID', accepted)
end
return { 'DONE' }
