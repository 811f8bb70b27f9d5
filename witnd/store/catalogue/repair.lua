#!lua
-- Replaces all but the first entries of the catalogue, and its head, and adds an entry to the change log.
--
-- KEYS  1 the catalogue, 2 its head, 3 the change log
-- ARGV  1 expected head ('' for none), 2 expected number of entries, 3 number of first entries that stay
--       4 the new head, 5 entry for the change log, 6... the following entries
-- Returns {'OK'}, or {'MOVED'} with nothing written.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] or redis.call('LLEN', KEYS[1]) ~= tonumber(ARGV[2]) then
  return {'MOVED'}
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[3]) - 1)
end
for place = 6, #ARGV do
  redis.call('RPUSH', KEYS[1], ARGV[place])
end
redis.call('SET', KEYS[2], ARGV[4])
redis.call('XADD', KEYS[3], '*', 'data', ARGV[5])
return {'OK'}
