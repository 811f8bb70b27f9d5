#!lua
-- Records that something is blocked, with its billing event, or that it no longer is.
--
-- KEYS[1] what is blocked, KEYS[2] how often events have happened, KEYS[3] billing events
-- ARGV[1] the subject, ARGV[2] the reason ('' if it is no longer blocked)
-- ARGV[3] field of its count, ARGV[4] the JSON of the event without its count and end
--
-- Returns 1 if this changes whether it is blocked, else 0. The call may be repeated.
if ARGV[2] == '' then
  return redis.call('HDEL', KEYS[1], ARGV[1])
end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
local count = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
redis.call('XADD', KEYS[3], '*', 'data', ARGV[4] .. ',"count":' .. count .. '}')
return 1
