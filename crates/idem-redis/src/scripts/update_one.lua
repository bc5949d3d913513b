-- Replaces a value, and its ttl, where it starts with the expected version: what update.lua does for
-- each of many, without what it costs to do it for many.
-- KEYS[1] the record; ARGV[1] the expected version's bytes, ARGV[2] the offset of the last of them,
-- ARGV[3] the new value, ARGV[4] its ttl in ms.
-- Answers OK, or nothing if nothing is there, or what is there and the ttl it has left, or the
-- server's error.
if redis.pcall('GETRANGE', KEYS[1], '0', ARGV[2]) == ARGV[1] then
  return redis.pcall('PSETEX', KEYS[1], ARGV[4], ARGV[3])
end
local found = redis.pcall('GET', KEYS[1])
if type(found) ~= 'string' then
  return found
end
return { found, redis.pcall('PTTL', KEYS[1]) }
