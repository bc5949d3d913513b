-- Sends a write that changes nothing down the replication stream, if a value still starts with the
-- expected version: WAIT and WAITAOF speak of this connection's own writes alone, so this makes them
-- speak of what was read, too.
-- KEYS[1] the record; ARGV[1] the expected version's bytes, ARGV[2] the offset of
-- the last of them.
if redis.call('GETRANGE', KEYS[1], '0', ARGV[2]) ~= ARGV[1] then
  return 0
end
local at = redis.call('PEXPIRETIME', KEYS[1])
if at < 0 then
  return 0
end
redis.call('PEXPIREAT', KEYS[1], at)
return 1
