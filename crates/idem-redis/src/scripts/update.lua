-- Replaces values, and their ttls, where they start with the expected version: each by itself, of
-- however many callers they are.
-- KEYS the records; for each of them four of ARGV: the expected version's bytes, the offset of the
-- last of them, the new value, and its ttl in ms.
-- Answers how many they are if all were replaced, since an answer for each is dear; else for each: 1 if
-- it was, or nothing if nothing is there, or what is there and the ttl it has left, or the server's
-- error.
-- Offsets are strings, because turning numbers into arguments is dear.
local call = redis.pcall
local answers, replaced = {}, 0
for i = 1, #KEYS do
  local key, at = KEYS[i], i * 4
  local answer
  if call('GETRANGE', key, '0', ARGV[at - 2]) == ARGV[at - 3] then
    answer = call('PSETEX', key, ARGV[at], ARGV[at - 1])
    if answer.ok then
      answer = 1
      replaced = replaced + 1
    end
  else
    answer = call('GET', key)
    if type(answer) == 'string' then
      answer = { answer, call('PTTL', key) }
    end
  end
  answers[i] = answer
end
if replaced == #KEYS then
  return replaced
end
return answers
