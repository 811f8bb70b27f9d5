#!lua flags=no-writes
-- Reads members of sorted sets after a position, greatest score first, from all sets at one moment.
--
-- KEYS: sets of one slot. ARGV: the limit for each set; then score and name of the position, or nothing for the start.
-- Returns for each set a flat list of members and scores.
-- Members of one score are in the reverse order of their bytes, as in Redis; the position itself need not be in a set.
-- However many share a score, finding the start takes some twenty steps.

local count, score, name = tonumber(ARGV[1]), ARGV[2], ARGV[3]

-- Compare bytes: `<` on strings depends on the locale of the server.
local function less(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

local function first_behind(set)
  local low = redis.call('ZCOUNT', set, '(' .. score, '+inf')
  local high = low + redis.call('ZCOUNT', set, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(redis.call('ZREVRANGE', set, middle, middle)[1], name) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local found = {}
for number, set in ipairs(KEYS) do
  local first = score and first_behind(set) or 0
  found[number] = redis.call('ZREVRANGE', set, first, first + count - 1, 'WITHSCORES')
end
return found
