#!lua flags=no-writes
-- Reads the next rows of one rule, in the order in which they are due.
--
-- KEYS[1] outbox of the rule, KEYS[2] deliveries, KEYS[3] attempts,
-- KEYS[4] shared messages: a row that needs one is an array of its format, the rule, and the outcome
-- ARGV[1] the number of rows
--
-- Returns for each row: id, ms when due, row or nil, message or nil, progress or nil.
local ids = redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
local answer = {}
for at = 1, #ids, 2 do
  answer[#answer + 1] = ids[at]
  answer[#answer + 1] = ids[at + 1]
  local row, message = redis.call('HGET', KEYS[2], ids[at]), false
  if row and string.sub(row, 1, 2) == '\147\1' then
    local is_sound, fields = pcall(cmsgpack.unpack, row)
    if is_sound and type(fields[3]) == 'string' then
      message = redis.call('HGET', KEYS[4], fields[3])
    end
  end
  answer[#answer + 1] = row
  answer[#answer + 1] = message
  answer[#answer + 1] = redis.call('HGET', KEYS[3], ids[at])
end
return answer
