#!lua
-- Writes the next progress of deliveries of one rule, each only if its progress is what the caller read.
--
-- KEYS[1] owner lease, KEYS[2] attempts, KEYS[3] outbox of the rule, KEYS[4] rules with rows to send,
-- KEYS[5] parked of the rule, KEYS[6] dead, KEYS[7] delivered, KEYS[8] deliveries
-- ARGV[1] the caller's lease value, '' for a command, which needs no lease
-- ARGV[2] id of the rule
-- ARGV[3] channel on which to notify the owner, '' for none
-- ARGV[4..] for each row: id, progress as read ('' for none), progress to write, ms when it is due ('' for never),
--   ms of its resolution, its standing, '1' if its delivery must still exist
--
-- Returns one number per row: 1 if it is written now or was already, 0 if it changed since it was read. Or, with
-- nothing written, 'FENCED' and the lease found.
if ARGV[1] ~= '' then
  local owner = redis.call('GET', KEYS[1])
  if owner ~= ARGV[1] then
    return { 'FENCED', owner or '' }
  end
end
local answer = {}
for at = 4, #ARGV, 7 do
  local found = redis.call('HGET', KEYS[2], ARGV[at]) or ''
  local same = found == ARGV[at + 1] or found == ARGV[at + 2]
  -- A failover may have undone the step that wrote the delivery.
  local gone = ARGV[at + 6] == '1' and redis.call('HEXISTS', KEYS[8], ARGV[at]) == 0
  answer[#answer + 1] = same and not gone and 1 or 0
end

local lists = { parked = KEYS[5], dead = KEYS[6], delivered = KEYS[7] }
for at = 4, #ARGV, 7 do
  if answer[(at - 4) / 7 + 1] == 1 then
    local id, due, created, standing = ARGV[at], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
    redis.call('HSET', KEYS[2], id, ARGV[at + 2])
    if due == '' then
      redis.call('ZREM', KEYS[3], id)
    else
      redis.call('ZADD', KEYS[3], due, id)
    end
    for name, list in pairs(lists) do
      if name == standing then
        redis.call('ZADD', list, created, id)
      else
        redis.call('ZREM', list, id)
      end
    end
  end
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('SADD', KEYS[4], ARGV[2])
else
  redis.call('SREM', KEYS[4], ARGV[2])
end
if ARGV[3] ~= '' then
  -- A failure is ignored: the owner also reads the queues when it starts and when it reconnects.
  redis.pcall('PUBLISH', ARGV[3], ARGV[2])
end
return answer
