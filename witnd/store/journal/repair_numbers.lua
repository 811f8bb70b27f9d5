#!lua
-- Continues series after the last numbers that were used before Redis lost data, with an entry of the change log.
--
-- KEYS 1 series, 2 lost numbers, 3 change log
-- ARGV 1 the entry of the change log, as JSON
--      then for each series: its name, the last used number
--
-- Returns name and previous last number of each changed series. A repeated call only adds an entry to the log.
local answer = {}
for at = 2, #ARGV, 2 do
  local name, given = ARGV[at], tonumber(ARGV[at + 1])
  local last = tonumber(redis.call('HGET', KEYS[1], name) or '0')
  if last < given then
    answer[#answer + 1] = name
    answer[#answer + 1] = string.format('%.0f', last)
    -- The numbers in between are on lost invoices: they are not a gap, and are not used again.
    local lost = redis.call('HGET', KEYS[2], name)
    local span = string.format('%.0f-%.0f', last + 1, given)
    redis.call('HSET', KEYS[2], name, lost and lost .. ' ' .. span or span)
    redis.call('HSET', KEYS[1], name, string.format('%.0f', given))
  end
end
redis.call('XADD', KEYS[3], '*', 'data', ARGV[1])
return answer
