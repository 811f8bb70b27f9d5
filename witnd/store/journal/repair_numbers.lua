#!lua
-- Continues series of numbers after the last numbers that were given before Redis lost data, and logs it.
--
-- KEYS 1 series, 2 lost numbers, 3 log of changes
-- ARGV 1 the entry of the log of changes, as JSON
--      then of each series: its name, the last number that was given
--
-- Answers name and last number before of each series that was behind. Repeating it changes nothing but the log.
local answer = {}
for at = 2, #ARGV, 2 do
  local name, given = ARGV[at], tonumber(ARGV[at + 1])
  local last = tonumber(redis.call('HGET', KEYS[1], name) or '0')
  if last < given then
    answer[#answer + 1] = name
    answer[#answer + 1] = string.format('%.0f', last)
    -- The numbers between are on invoices that are gone: they are no gap, and are not given again.
    local lost = redis.call('HGET', KEYS[2], name)
    local span = string.format('%.0f-%.0f', last + 1, given)
    redis.call('HSET', KEYS[2], name, lost and lost .. ' ' .. span or span)
    redis.call('HSET', KEYS[1], name, string.format('%.0f', given))
  end
end
redis.call('XADD', KEYS[3], '*', 'data', ARGV[1])
return answer
