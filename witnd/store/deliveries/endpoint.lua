#!lua
-- Replaces the state of one rule's endpoint if it is still what the caller read.
-- It belongs to no partition, so no lease protects it: it affects when to send, never what.
--
-- KEYS[1] endpoints, KEYS[2] how often billing events have happened, KEYS[3] billing events
-- ARGV[1] id of the rule, ARGV[2] state as read ('' for none), ARGV[3] state to write ('' for none)
-- ARGV[4] field of the count of the event that this change is, ARGV[5] its JSON without its count and end ('' none)
--
-- Returns 1 if it is written now or was already, 0 if it changed since it was read.
local found = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if found ~= ARGV[2] and found ~= ARGV[3] then
  return 0
end
if ARGV[5] ~= '' and found ~= ARGV[3] then
  local count = redis.call('HINCRBY', KEYS[2], ARGV[4], 1)
  redis.call('XADD', KEYS[3], '*', 'data', ARGV[5] .. ',"count":' .. count .. '}')
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
