#!lua flags=no-writes
-- Counts the entries between two ids, up to a limit. Only the number leaves the server, not the entries.
--
-- KEYS[1] a stream
-- ARGV[1] the id after which to start, ARGV[2] the last id, ARGV[3] the limit
--
-- Returns the number, and the id of the last counted entry ('' for none).
local found = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return { #found, #found > 0 and found[#found][1] or '' }
