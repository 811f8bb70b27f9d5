#!lua flags=no-writes
-- Counts the entries between two ids, up to a limit. Only the number leaves the server, not the entries.
--
-- KEYS[1] a stream
-- ARGV[1] the id behind which to begin, ARGV[2] the last id, ARGV[3] how many at most
--
-- Answers the number, and the id of the last entry that was counted ('' for none).
local found = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return { #found, #found > 0 and found[#found][1] or '' }
