#!lua
-- Writes one operation on one invoice: completely and once, and only if the data is still what it was decided from.
--
-- KEYS 1 the head, 2 its operations, 3 balances, 4 credited, 5 credit rows, 6 drafts to issue,
--      7 series, 8 numbers, 9 credit notes, 10 the new credit note (the head's key if none),
--      11 the change log
-- ARGV 1 token of the operation, 2 its name, 3 id of the invoice
--      4 revision, 5 status, 6 '1' closed, as they were read
--      7 field of the balance ('' if not needed), 8 as read ('' absent), 9 to write ('' unchanged)
--      10 id of the credited row ('' none), 11 its credited amount as read ('' absent), 12 to write
--      13 credit row to append ('' none)
--      14 series to take a number from ('' none), 15 id of the credit note ('' none)
--      16 field of the head that gets the current instant ('' none), 17 '1' if the invoice is issued
--      18 what the operation created, for the record ('' its number)
--      19 the JSON of its entry for the change log without the end ('' none)
--      20 the last known number of the series
--      21 number of words of fields for the head, then those words, then those for the credit note
--
-- Returns {'OK' or 'DONE' (written before, the reply was lost), record, head}; or, with nothing written, {'MOVED'},
-- {'DAMAGED', text} if the last number of the series is not a number,
-- or {'LOST', last number} if the series is behind the last known number.
-- Amounts are text that is compared and stored: the script does not calculate with money.
local record = redis.call('HGET', KEYS[2], ARGV[1])
if record then
  return { 'DONE', record, redis.call('HGETALL', KEYS[1]) }
end

local head = redis.call('HMGET', KEYS[1], 'revision', 'status', 'closed')
if (head[1] or '0') ~= ARGV[4] or (head[2] or 'draft') ~= ARGV[5] or head[3] ~= ARGV[6] then
  return { 'MOVED' }
end
if ARGV[7] ~= '' and (redis.call('HGET', KEYS[3], ARGV[7]) or '') ~= ARGV[8] then
  return { 'MOVED' }
end
if ARGV[10] ~= '' and (redis.call('HGET', KEYS[4], ARGV[10]) or '') ~= ARGV[11] then
  return { 'MOVED' }
end

if ARGV[14] ~= '' then
  local last = redis.call('HGET', KEYS[7], ARGV[14]) or '0'
  if not string.match(last, '^%d+$') or #last > 15 then
    return { 'DAMAGED', last }
  end
  if tonumber(last) < tonumber(ARGV[20]) then
    return { 'LOST', last }
  end
end

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local fields = tonumber(ARGV[21])
redis.call('HSET', KEYS[1], unpack(ARGV, 22, 21 + fields))
if ARGV[16] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[16], now)
end
if ARGV[9] ~= '' then
  redis.call('HSET', KEYS[3], ARGV[7], ARGV[9])
end
if ARGV[10] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[10], ARGV[12])
end
if ARGV[13] ~= '' then
  redis.call('RPUSH', KEYS[5], ARGV[13])
end
if ARGV[17] == '1' then
  redis.call('ZREM', KEYS[6], ARGV[3])
end
local made = ARGV[18]
if ARGV[14] ~= '' then
  -- The counter changes only here, together with the numbered document, so no number is repeated or missing.
  local number = string.format('%s-%06d', ARGV[14], redis.call('HINCRBY', KEYS[7], ARGV[14], 1))
  if ARGV[15] == '' then
    redis.call('HSET', KEYS[1], 'number', number)
    redis.call('HSET', KEYS[8], number, ARGV[3])
    made = number
  else
    redis.call('HSET', KEYS[10], 'number', number, 'issued_at', now, unpack(ARGV, 22 + fields))
    redis.call('HSET', KEYS[8], number, ARGV[15])
    redis.call('ZADD', KEYS[9], now, ARGV[15])
  end
end
record = table.concat({ ARGV[2], now, made }, ' ')
redis.call('HSET', KEYS[2], ARGV[1], record)
if ARGV[19] ~= '' then
  local done = ',"made":' .. cjson.encode(made) .. ',"at":' .. now .. ',"stamp":"' .. ARGV[16] .. '"}'
  redis.call('XADD', KEYS[11], '*', 'data', ARGV[19] .. done)
end
return { 'OK', record, redis.call('HGETALL', KEYS[1]) }
