#!lua
-- Ownership of a partition.
--
-- KEYS[1] owner lease, KEYS[2] state hash
-- ARGV[1] 'take', ARGV[2] who takes, ARGV[3] length of the lease in ms, ARGV[4] lease value that may be replaced, or '',
--   ARGV[5] clock of the caller's host in ms, ARGV[6] by how many ms the server's may differ from it
-- ARGV[1] 'renew', ARGV[2] the lease's value, ARGV[3] length in ms
-- ARGV[1] 'release', ARGV[2] the lease's value
--
-- Answers {1, value} where the caller owns the partition afterwards (or gave it up), {0, value found or '', its ms left}.
-- 'take' answers {-1, difference in ms, 0}, with nothing written, where the clocks differ by more than that.
-- Any verb answers {-2, type, number of the key} where a key holds another type of data, and 'take' {-3, epoch, 2} where
-- the epoch is no number, with nothing written.
for place, expected in ipairs({ 'string', 'hash' }) do
  local kind = redis.call('TYPE', KEYS[place]).ok
  if kind ~= expected and kind ~= 'none' then
    return { -2, kind, place }
  end
end
local found = redis.call('GET', KEYS[1])
if ARGV[1] == 'take' then
  local time = redis.call('TIME')
  local off = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) - tonumber(ARGV[5])
  if math.abs(off) > tonumber(ARGV[6]) then
    return { -1, string.format('%.0f', off), 0 }
  end
  if found and found ~= ARGV[4] then
    return { 0, found, redis.call('PTTL', KEYS[1]) }
  end
  local last = redis.call('HGET', KEYS[2], 'epoch') or '0'
  if not string.match(last, '^%d+$') or #last > 15 then
    return { -3, last, 2 }
  end
  local epoch = redis.call('HINCRBY', KEYS[2], 'epoch', 1)
  local value = string.format('%d:%s', epoch, ARGV[2])
  redis.call('SET', KEYS[1], value, 'PX', ARGV[3])
  return { 1, value, tonumber(ARGV[3]) }
end
if found ~= ARGV[2] then
  return { 0, found or '', 0 }
end
if ARGV[1] == 'renew' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return { 1, found, 0 }
