#!lua
-- Records that the server's clock is right now, with an entry in the change log.
--
-- KEYS[1] hash of the clock, KEYS[2] change log
-- ARGV[1] id of this acceptance, ARGV[2] boot of the host of the command, ARGV[3] its boot time in ms,
-- ARGV[4] the change as JSON
--
-- Returns the server's clock in ms.
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
-- Both fail before the first write if a key has another type.
redis.call('HGET', KEYS[1], 'accepted')
redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local record = string.format(
  '{"v":1,"id":"%s","server_ms":%s,"boot":"%s","boot_ms":%s}', ARGV[1], now, ARGV[2], ARGV[3]
)
redis.call('HSET', KEYS[1], 'accepted', record)
redis.call('XADD', KEYS[2], '*', 'data', ARGV[4])
return now
