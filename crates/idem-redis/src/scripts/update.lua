-- Replaces values, and their ttls, where they start with the expected version: each by itself, of
-- however many callers they are.
-- KEYS the records; for each of them four of ARGV: the expected version's bytes, the offset of the
-- last of them, the new value, and its ttl in ms.
-- Answers for each: OK, or nothing if nothing is there, or what is there and the ttl it has left, or
-- the server's error.
-- Offsets are strings, because turning numbers into arguments is dear.
local call = redis.pcall
local function replace(key, expected, last, value, ttl)
  if call('GETRANGE', key, '0', last) == expected then
    return call('SET', key, value, 'PX', ttl)
  end
  local found = call('GET', key)
  if type(found) ~= 'string' then
    return found
  end
  return { found, call('PTTL', key) }
end
local answers = {}
for i = 1, #KEYS do
  local at = i * 4
  answers[i] = replace(KEYS[i], ARGV[at - 3], ARGV[at - 2], ARGV[at - 1], ARGV[at])
end
return answers
