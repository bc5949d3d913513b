-- Reads a value and the ttl it has left at one moment.
-- KEYS[1] the record.
local found = redis.call('GET', KEYS[1])
if not found then
  return false
end
return { found, redis.call('PTTL', KEYS[1]) }
