#!lua flags=no-writes
-- The rows of one rule that are sent next, in the order in which they are due.
--
-- KEYS[1] outbox of the rule, KEYS[2] deliveries, KEYS[3] attempts
-- ARGV[1] how many
--
-- Answers id, ms when due, row or nil, progress or nil; and so on for the next.
local ids = redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
local answer = {}
for at = 1, #ids, 2 do
  answer[#answer + 1] = ids[at]
  answer[#answer + 1] = ids[at + 1]
  answer[#answer + 1] = redis.call('HGET', KEYS[2], ids[at])
  answer[#answer + 1] = redis.call('HGET', KEYS[3], ids[at])
end
return answer
