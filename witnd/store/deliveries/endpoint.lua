#!lua
-- The state of one rule's endpoint changes from what the caller read, or not at all.
-- It belongs to no partition, so no lease guards it: it decides when to send, never what.
--
-- KEYS[1] endpoints
-- ARGV[1] id of the rule, ARGV[2] state as read ('' for none), ARGV[3] state to write ('' for none)
--
-- Answers 1 written (or written already), 0 it has changed since it was read.
local found = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if found ~= ARGV[2] and found ~= ARGV[3] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
