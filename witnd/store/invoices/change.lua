#!lua
-- Writes one operation on one invoice: completely and once, and only if the data is still what it was decided from.
--
-- KEYS 1 the head, 2 its operations, 3 balances, 4 credited, 5 credit rows, 6 drafts to issue,
--      7 series, 8 numbers, 9 credit notes, 10 the new credit note (the head's key if none),
--      11 the change log, 12 payments, 13 the customer's currencies, 14 first numbers of series, 15 rows,
--      16 the head of the next edition, 17 its rows, 18 its credit rows, 19 its credited,
--      20 invoices, 21 the customer's invoices, 22 open drafts, 23 open drafts with manual lines,
--      24 latest dates of series, 25 the customer's tokens of lines, 26 reversals that are not credited yet, by
--      instant, 27 those of the next edition, 28 all reversals, 29 those of the next edition,
--      30 invoices with reversals that are not credited yet, by the first instant, 31 unpaid invoices,
--      32 those that are not overdue, 33 billing events
-- ARGV, in this order; a list is its length, then its words:
--      token of the operation, its name, id of the invoice
--      revision, status, '1' closed, as they were read
--      the instant (ms) from which it must be decided again ('' none)
--      currency, its minor digits
--      field of the balance ('' if not needed), the balance as read ('' absent), to write ('' unchanged)
--      list of credited rows: id, its credited amount as read ('' absent), to write
--      list of credit rows to append, list of payments to append
--      series to take a number from ('' none), its last known number, its first number, the date of the document,
--      '1' if that must not be before the latest date of the series, id of the credit note ('' none)
--      list of fields of the head that get the current instant
--      '1' if the draft waits for issue from now on, '0' if it no longer waits, '' if nothing changes
--      '1' if its discounts must be adjusted when its period closes, '0' if no longer, '' if nothing changes
--      what the operation created, for the record ('' its number)
--      the JSON of its entry for the change log without the end ('' none)
--      lists of words for the head, of fields to delete from it, of words for the credit note
--      id of the next edition ('' none), start of the period, '1' if it waits for issue, list of words for its head
--      its place in the lists of drafts (the end of the period),
--      list of words for the head of an invoice that does not exist yet
--      '1' if the token belongs to the customer, as it may be repeated in another period
--      list of outcome keys whose reversals are credited now, or cannot be
--      '1' if the invoice is unpaid from now on, '0' if it no longer is, '' if nothing changes; the day it is due
--      '1' if it is not overdue from now on, '0' if it no longer waits for its due date, '' if nothing changes
--      list of billing events: the JSON of each without its end, which gets the number that the script assigns
--
-- Returns {'OK' or 'DONE' (written before, the reply was lost), record, head}; or, with nothing written, {'MOVED'},
-- {'DAMAGED', text} if the last number of the series is not a number,
-- or {'LOST', last number} if the series is behind the last known number.
-- Amounts are text that is compared and stored: the script does not calculate with money.
local place = 0
local function take()
  place = place + 1
  return ARGV[place]
end
local function take_list()
  local list = {}
  for _ = 1, tonumber(take()) do
    list[#list + 1] = take()
  end
  return list
end

local token, operation, id = take(), take(), take()
local revision, status, closed, valid_until = take(), take(), take(), take()
local currency, digits = take(), take()
local account, balance_read, balance = take(), take(), take()
local credited, rows, payments = take_list(), take_list(), take_list()
local series, known, first, date, is_dated, note = take(), take(), take(), take(), take(), take()
local stamps, waiting, pending, made, entry = take_list(), take(), take(), take(), take()
local head_words, removed, note_words = take_list(), take_list(), take_list()
local draft, start, waits, draft_words = take(), take(), take(), take_list()
local ending, new_words, for_customer, corrected = take(), take_list(), take(), take_list()
local unpaid, due_day, awaited, events = take(), take(), take(), take_list()

local record = redis.call('HGET', KEYS[2], token)
if record then
  return { 'DONE', record, redis.call('HGETALL', KEYS[1]) }
end

local head = redis.call('HMGET', KEYS[1], 'revision', 'status', 'closed')
if #new_words > 0 and not head[3] then
  head[3] = closed
elseif #new_words > 0 then
  return { 'MOVED' }
end
if (head[1] or '0') ~= revision or (head[2] or 'draft') ~= status or head[3] ~= closed then
  return { 'MOVED' }
end
if for_customer == '1' and redis.call('HEXISTS', KEYS[25], token) == 1 then
  return { 'MOVED' }
end
if account ~= '' and (redis.call('HGET', KEYS[3], account) or '') ~= balance_read then
  return { 'MOVED' }
end
for i = 1, #credited, 3 do
  if (redis.call('HGET', KEYS[4], credited[i]) or '') ~= credited[i + 1] then
    return { 'MOVED' }
  end
end
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if valid_until ~= '' and ms >= tonumber(valid_until) then
  return { 'MOVED' }
end

if series ~= '' then
  local last = redis.call('HGET', KEYS[7], series) or '0'
  if not string.match(last, '^%d+$') or #last > 15 then
    return { 'DAMAGED', last }
  end
  if tonumber(last) < tonumber(known) then
    return { 'LOST', last }
  end
  if is_dated == '1' and (redis.call('HGET', KEYS[24], series) or '') > date then
    return { 'MOVED' }
  end
end

local now = string.format('%.0f', ms)
if #new_words > 0 then
  redis.call('HSET', KEYS[1], unpack(new_words))
  redis.call('ZADD', KEYS[20], start, id)
  redis.call('ZADD', KEYS[21], start, id)
  redis.call('ZADD', KEYS[22], ending, id)
end
if for_customer == '1' then
  redis.call('HSET', KEYS[25], token, id)
end
redis.call('HSET', KEYS[1], unpack(head_words))
if #removed > 0 then
  redis.call('HDEL', KEYS[1], unpack(removed))
end
for _, field in ipairs(stamps) do
  redis.call('HSET', KEYS[1], field, now)
end
if balance ~= '' then
  redis.call('HSET', KEYS[3], account, balance)
  if tonumber(redis.call('HGET', KEYS[13], currency) or '-1') < tonumber(digits) then
    redis.call('HSET', KEYS[13], currency, digits)
  end
end
for i = 1, #credited, 3 do
  redis.call('HSET', KEYS[4], credited[i], credited[i + 2])
end
for _, row in ipairs(rows) do
  redis.call('RPUSH', KEYS[5], row)
end
for _, payment in ipairs(payments) do
  redis.call('RPUSH', KEYS[12], payment)
end
if waiting == '1' then
  redis.call('ZADD', KEYS[6], 'NX', ending, id)
elseif waiting == '0' then
  redis.call('ZREM', KEYS[6], id)
end
if pending == '1' then
  redis.call('ZADD', KEYS[23], ending, id)
elseif pending == '0' then
  redis.call('ZREM', KEYS[23], id)
end
if unpaid == '1' then
  redis.call('ZADD', KEYS[31], due_day, id)
elseif unpaid == '0' then
  redis.call('ZREM', KEYS[31], id)
end
if awaited == '1' then
  redis.call('ZADD', KEYS[32], due_day, id)
elseif awaited == '0' then
  redis.call('ZREM', KEYS[32], id)
end
for _, key in ipairs(corrected) do
  redis.call('ZREM', KEYS[26], key)
end
if #corrected > 0 then
  local left = redis.call('ZRANGE', KEYS[26], 0, 0, 'WITHSCORES')
  if #left == 0 then
    redis.call('ZREM', KEYS[30], id)
  else
    redis.call('ZADD', KEYS[30], left[2], id)
  end
end
if draft ~= '' then
  local left = redis.call('ZRANGE', KEYS[26], 0, 0, 'WITHSCORES')
  if #left > 0 then
    redis.call('COPY', KEYS[26], KEYS[27], 'REPLACE')
    redis.call('UNLINK', KEYS[26])
    redis.call('ZREM', KEYS[30], id)
    redis.call('ZADD', KEYS[30], left[2], draft)
  end
  redis.call('COPY', KEYS[28], KEYS[29], 'REPLACE')
  redis.call('HSET', KEYS[16], 'opened_at', now, unpack(draft_words))
  redis.call('COPY', KEYS[15], KEYS[17], 'REPLACE')
  redis.call('COPY', KEYS[5], KEYS[18], 'REPLACE')
  redis.call('COPY', KEYS[4], KEYS[19], 'REPLACE')
  redis.call('ZADD', KEYS[20], start, draft)
  redis.call('ZADD', KEYS[21], start, draft)
  if waits == '1' then
    redis.call('ZADD', KEYS[6], now, draft)
  end
end
local event_end = '}'
if series ~= '' then
  -- The counter changes only here, together with the numbered document, so no number is repeated or missing.
  local step = 1
  if tonumber(first) > 1 and redis.call('HEXISTS', KEYS[7], series) == 0 then
    step = tonumber(first)
    redis.call('HSET', KEYS[14], series, first)
  end
  local number = string.format('%s-%06d', series, redis.call('HINCRBY', KEYS[7], series, step))
  if (redis.call('HGET', KEYS[24], series) or '') < date then
    redis.call('HSET', KEYS[24], series, date)
  end
  event_end = ',"number":' .. cjson.encode(number) .. '}'
  if note == '' then
    redis.call('HSET', KEYS[1], 'number', number)
    redis.call('HSET', KEYS[8], number, id)
    made = number
  else
    redis.call('HSET', KEYS[10], 'number', number, 'issued_at', now, unpack(note_words))
    redis.call('HSET', KEYS[8], number, note)
    redis.call('ZADD', KEYS[9], now, note)
  end
end
for _, event in ipairs(events) do
  redis.call('XADD', KEYS[33], '*', 'data', event .. event_end)
end
record = table.concat({ operation, now, made }, ' ')
redis.call('HSET', KEYS[2], token, record)
if entry ~= '' then
  local done = ',"made":' .. cjson.encode(made) .. ',"at":' .. now .. ',"stamps":['
  for i, field in ipairs(stamps) do
    done = done .. (i > 1 and ',' or '') .. '"' .. field .. '"'
  end
  redis.call('XADD', KEYS[11], '*', 'data', entry .. done .. ']}')
end
return { 'OK', record, redis.call('HGETALL', KEYS[1]) }
