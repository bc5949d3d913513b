-- Puts a value that was written under another name in the place of one that starts with the expected
-- version: a large value costs the server a multiple of its time as a script's argument.
-- KEYS[1] the record, KEYS[2] the new value; ARGV[1] the offset of the last byte of the expected
-- version, ARGV[2] the new ttl in ms, ARGV[3] the expected version's bytes.
-- Answers 1, or nothing if nothing is there, or what is there and the ttl it has left, or the server's
-- error.
if redis.pcall('GETRANGE', KEYS[1], '0', ARGV[1]) == ARGV[3] then
  local renamed = redis.pcall('RENAME', KEYS[2], KEYS[1])
  if renamed.err then
    return renamed
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
redis.call('UNLINK', KEYS[2])
local found = redis.pcall('GET', KEYS[1])
if type(found) ~= 'string' then
  return found
end
return { found, redis.pcall('PTTL', KEYS[1]) }
