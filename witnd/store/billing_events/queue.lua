#!lua
-- Writes and queues deliveries of one billing event. A delivery that has a row is already queued.
--
-- KEYS[1] lease of the biller, KEYS[2] deliveries, KEYS[3] the last event with queued deliveries,
-- KEYS[4] rules with rows to send, KEYS[5..] outbox of each rule
-- ARGV[1] the caller's lease value, ARGV[2] ms of the event
-- ARGV[3] the last event as it was read ('' none), ARGV[4] id of this event if these are its last deliveries, else ''
-- ARGV[5..] for each rule: its id, id of the delivery and row
--
-- Returns 'OK', or, with nothing written, 'FENCED' and the lease found, or 'MOVED' and the last event found. The call
-- may be repeated.
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return { 'FENCED', owner or '' }
end
local last = redis.call('GET', KEYS[3]) or ''
if last ~= ARGV[3] and (ARGV[4] == '' or last ~= ARGV[4]) then
  return { 'MOVED', last }
end
for at = 5, #KEYS do
  local word = 5 + 3 * (at - 5)
  if redis.call('HSETNX', KEYS[2], ARGV[word + 1], ARGV[word + 2]) == 1 then
    redis.call('ZADD', KEYS[at], ARGV[2], ARGV[word + 1])
    redis.call('SADD', KEYS[4], ARGV[word])
  end
end
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[3], ARGV[4])
end
return { 'OK' }
