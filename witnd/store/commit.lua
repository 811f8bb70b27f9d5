#!lua
-- One step of a partition, written whole or not at all.
--
-- KEYS[1] owner lease, KEYS[2] state hash
-- ARGV[1] this owner's lease value
-- ARGV[2] the sequence number that the step builds on
-- ARGV[3] the step's own sequence number, ARGV[4] its digest
-- ARGV[5..] operations, each as: number of words, words of one Redis command
--
-- Answers 'OK', or 'DONE' where this very step is written already (its reply was lost), or, with nothing written:
-- 'FENCED' and the lease found, or 'SEQUENCE' and the sequence number found.
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return { 'FENCED', owner or '' }
end
local state = redis.call('HMGET', KEYS[2], 'seq', 'digest')
local seq = state[1] or '0'
if seq ~= ARGV[2] then
  if seq == ARGV[3] and state[2] == ARGV[4] then
    return { 'DONE', seq }
  end
  return { 'SEQUENCE', seq }
end
local at, last = 5, #ARGV
while at <= last do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
redis.call('HSET', KEYS[2], 'seq', ARGV[3], 'digest', ARGV[4])
return { 'OK', ARGV[3] }
