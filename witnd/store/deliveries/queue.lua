#!lua
-- Writes and queues rows of one outcome's deliveries. A delivery that has a row is already queued.
--
-- KEYS[1] owner lease, KEYS[2] deliveries, KEYS[3] unqueued outcomes, KEYS[4] rules with rows to send,
-- KEYS[5..] outbox of each rule
-- ARGV[1] the caller's lease value, ARGV[2] ms of the resolution
-- ARGV[3] the outcome's key if these are its last deliveries, else ''
-- ARGV[4] for each rule: its id, id of the delivery and row, each after its length in 4 bytes
--
-- Returns 'OK', or, with nothing written, 'FENCED' and the lease found. The call may be repeated.
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return { 'FENCED', owner or '' }
end
local rules, place = {}, 1
for at = 5, #KEYS do
  local rule, id, row
  rule, id, row, place = struct.unpack('>I4c0I4c0I4c0', ARGV[4], place)
  if redis.call('HSETNX', KEYS[2], id, row) == 1 then
    redis.call('ZADD', KEYS[at], ARGV[2], id)
    rules[#rules + 1] = rule
  end
end
if #rules > 0 then
  redis.call('SADD', KEYS[4], unpack(rules))
end
if ARGV[3] ~= '' then
  redis.call('HDEL', KEYS[3], ARGV[3])
end
return 'OK'
