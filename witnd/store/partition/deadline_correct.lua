#!lua
-- Corrects the stored deadline of one outcome, if its record is unchanged since the comparison.
--
-- KEYS[1] sorted set of deadlines, KEYS[2] record of the outcome
-- ARGV[1] outcome key, ARGV[2] the record as it was read, '' for none
-- ARGV[3] the correct score, '' to remove the key from the set
--
-- Returns 1 if the set was changed, 0 if the record has changed meanwhile or the set was correct.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZADD', KEYS[1], 'CH', ARGV[3], ARGV[1])
