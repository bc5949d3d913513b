-- Replaces a value, and its ttl, where it starts with the expected version: what update.lua does for
-- each of many, without what it costs to do it for many.
-- KEYS[1] the record; ARGV[1] the offset of the last byte of the expected version, ARGV[2] the new ttl
-- in ms, ARGV[3] the expected version's bytes, ARGV[4] the new value.
-- Answers OK, or nothing if nothing is there, or what is there and the ttl it has left, or the
-- server's error.
if redis.pcall('GETRANGE', KEYS[1], '0', ARGV[1]) == ARGV[3] then
  return redis.pcall('PSETEX', KEYS[1], ARGV[2], ARGV[4])
end
local found = redis.pcall('GET', KEYS[1])
if type(found) ~= 'string' then
  return found
end
return { found, redis.pcall('PTTL', KEYS[1]) }
