#!lua
-- Replaces the state of one rule's endpoint if it is still what the caller read.
-- It belongs to no partition, so no lease protects it: it affects when to send, never what.
--
-- KEYS[1] endpoints
-- ARGV[1] id of the rule, ARGV[2] state as read ('' for none), ARGV[3] state to write ('' for none)
--
-- Returns 1 if it is written now or was already, 0 if it changed since it was read.
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
