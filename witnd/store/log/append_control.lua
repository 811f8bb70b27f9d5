#!lua
-- Appends a control entry, unless the server's clock is ahead: its id would bring a wrong time into the log.
--
-- KEYS[1] the log
-- ARGV[1] the latest possible current instant in ms, ARGV[2..] fields of the entry
--
-- Returns the entry's id, or '' with nothing written.
local time = redis.call('TIME')
if tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) > tonumber(ARGV[1]) then
  return ''
end
return redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
