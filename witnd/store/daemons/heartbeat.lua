#!lua
-- Records a daemon's heartbeat, removes daemons that have ended, and returns all that remain.
--
-- KEYS[1] hash of the daemons
-- ARGV[1] instance, ARGV[2] nonce of its process, ARGV[3] its record: the nonce, a space and JSON,
-- ARGV[4] the nonce of a process to replace, or '', then pairs of an instance and its record, which is removed if it
--   has not changed
--
-- Returns {1, instance, record, …} with all records, or {0, record found} if another process has the same instance.
-- Nothing is written then.
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  local holder = string.match(found, '^(%S+) ') or ''
  if holder ~= ARGV[2] and holder ~= ARGV[4] and holder ~= '' then
    return { 0, found }
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
for place = 5, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[place]) == ARGV[place + 1] then
    redis.call('HDEL', KEYS[1], ARGV[place])
  end
end
local all = redis.call('HGETALL', KEYS[1])
table.insert(all, 1, 1)
return all
