#!lua
-- Takes, renews or releases the lease of a partition.
--
-- KEYS[1] owner lease, KEYS[2] state hash
-- ARGV[1] 'take', ARGV[2] the new holder, ARGV[3] length of the lease in ms, ARGV[4] lease value to replace, or '',
--   ARGV[5] clock of the caller's host in ms, ARGV[6] greatest allowed difference to the server's clock in ms
-- ARGV[1] 'renew', ARGV[2] the lease's value, ARGV[3] length in ms
-- ARGV[1] 'release', ARGV[2] the lease's value
--
-- Returns {1, value} if the caller then has the lease (or released it), else {0, value found or '', its ms left}.
-- With nothing written: {-2, type, number of the key} if a key has another type; 'take' also {-1, difference in ms, 0}
-- if the clocks differ too much, and {-3, epoch, 2} if the epoch is not a number.
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
