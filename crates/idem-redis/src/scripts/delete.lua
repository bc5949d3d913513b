-- Removes a value if it starts with the expected version.
-- KEYS[1] the record; ARGV[1] the expected version's bytes, ARGV[2] the offset of the last of them.
-- Answers 1, or nothing if nothing is there, or what is there and the ttl it has left.
if redis.call('GETRANGE', KEYS[1], '0', ARGV[2]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 1
end
local found = redis.call('GET', KEYS[1])
if not found then
  return false
end
return { found, redis.call('PTTL', KEYS[1]) }
