#!lua
-- Runs commands outside a step, only while the caller owns the partition.
--
-- KEYS[1] owner lease
-- ARGV[1] the owner's lease value
-- ARGV[2..] operations, each as: number of words, words of one Redis command
--
-- Returns {1, sum of the replies that are numbers}, or {0, 0} with nothing written if the lease has another value.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return { 0, 0 }
end
local at, last, sum = 2, #ARGV, 0
while at <= last do
  local words = tonumber(ARGV[at])
  local reply = redis.call(unpack(ARGV, at + 1, at + words))
  sum = sum + (tonumber(reply) or 0)
  at = at + words + 1
end
return { 1, sum }
