#!lua
-- Writes one step of a partition completely, or not at all.
--
-- KEYS[1] owner lease, KEYS[2] state hash
-- ARGV[1] the owner's lease value
-- ARGV[2] the sequence number of the previous step
-- ARGV[3] the sequence number of this step, ARGV[4] its digest
-- ARGV[5..] operations, each as: number of words, words of one Redis command
--
-- Returns 'OK', or 'DONE' if this step is already written (its reply was lost), or, with nothing written: 'FENCED' and
-- the lease found; 'SEQUENCE' and the sequence number found; 'WRONGTYPE', a key with another type than its command
-- needs, and that type; or 'TAKEN', a stream, the id of its next entry, and the stream's last id, which is not smaller.
-- Redis has no rollback, so the script checks all of this before the first write.
-- While a cluster moves a slot key by key, a script fails at the first missing key, which may be after some writes. A
-- read of a key that never exists fails then too, so it shows in time that nothing may be written: 'TRYAGAIN' (an error).
local types = {
  HDEL = 'hash', HINCRBY = 'hash', HSET = 'hash', RPUSH = 'list', SADD = 'set', XADD = 'stream', ZADD = 'zset', ZREM = 'zset',
}
local missing = redis.pcall('EXISTS', KEYS[1] .. ':never')
if type(missing) == 'table' then
  return redis.error_reply('TRYAGAIN the slot of ' .. KEYS[1] .. ' is moving')
end
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return { 'FENCED', owner or '' }
end
local state = redis.call('HMGET', KEYS[2], 'seq', 'digest')
local seq = state[1] or '0'
if seq ~= ARGV[2] then
  if seq == ARGV[3] and state[2] == ARGV[4] then
    return { 'DONE', seq }
  end
  return { 'SEQUENCE', seq }
end
local function last_id(stream)
  local info = redis.call('XINFO', 'STREAM', stream)
  for field = 1, #info, 2 do
    if info[field] == 'last-generated-id' then
      return info[field + 1]
    end
  end
end
local at, last, removed, numbered = 5, #ARGV, {}, {}
while at <= last do
  local expected = types[ARGV[at + 1]]
  if ARGV[at + 1] == 'UNLINK' then
    for word = at + 2, at + tonumber(ARGV[at]) do
      removed[ARGV[word]] = true
    end
  elseif expected and not removed[ARGV[at + 2]] then
    local found = redis.call('TYPE', ARGV[at + 2]).ok
    if found ~= expected and found ~= 'none' then
      return { 'WRONGTYPE', ARGV[at + 2], found }
    end
    -- An entry with a fixed id. Those of one step are consecutive, so checking the first one of a stream is enough.
    if found == 'stream' and ARGV[at + 1] == 'XADD' and ARGV[at + 3] ~= '*' and not numbered[ARGV[at + 2]] then
      numbered[ARGV[at + 2]] = true
      local id = last_id(ARGV[at + 2])
      if tonumber(id:match('^%d+')) >= tonumber(ARGV[at + 3]:match('^%d+')) then
        return { 'TAKEN', ARGV[at + 2], ARGV[at + 3], id }
      end
    end
  end
  at = at + tonumber(ARGV[at]) + 1
end
at = 5
while at <= last do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + words + 1
end
redis.call('HSET', KEYS[2], 'seq', ARGV[3], 'digest', ARGV[4])
return { 'OK', ARGV[3] }
