#!lua flags=no-writes
-- Members of sorted sets behind a place, those with the greatest score first, of all sets at one moment.
--
-- KEYS: sets of one slot. ARGV: how many of each at most; then the score and the name of the place, or nothing for the
-- beginning. Answers for each set a flat list of members and scores.
-- Members of one score come in the reverse order of their bytes, as the server keeps them; the place itself need not
-- be in a set. However many share a score, finding where to go on takes some twenty steps.

local count, score, name = tonumber(ARGV[1]), ARGV[2], ARGV[3]

-- By bytes: `<` on texts would follow the locale of the server.
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
