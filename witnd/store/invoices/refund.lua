#!lua
-- Writes one refund of a customer's balance: completely and once, and only if the data is still what it was decided
-- from.
--
-- KEYS 1 balances, 2 the customer's refunds, 3 tokens of its refunds, 4 the change log
-- ARGV 1 token, 2 field of the balance, 3 the balance as read, 4 to write
--      5 number of earlier refunds, as read, 6 the refund to append
--      7 the record of the token, 8 the JSON of its entry for the change log
--
-- Returns {'OK' or 'DONE' (written before, the reply was lost), record}, or {'MOVED'} with nothing written.
local record = redis.call('HGET', KEYS[3], ARGV[1])
if record then
  return { 'DONE', record }
end
if (redis.call('HGET', KEYS[1], ARGV[2]) or '') ~= ARGV[3] or redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[5]) then
  return { 'MOVED' }
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
redis.call('RPUSH', KEYS[2], ARGV[6])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[7])
redis.call('XADD', KEYS[4], '*', 'data', ARGV[8])
return { 'OK', ARGV[7] }
