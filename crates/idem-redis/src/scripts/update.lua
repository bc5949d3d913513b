-- Replaces values, and their ttls, where they start with the expected version: each by itself, of
-- however many callers they are.
-- KEYS the records; ARGV[1] the offset of the last byte of every expected version, ARGV[2] every ttl
-- in ms: what is the same for all comes once, because arguments are dear. Then two for each record:
-- the expected version's bytes, and the new value.
-- Answers how many they are if all were replaced, since an answer for each is dear, too; else for
-- each: 1 if it was, or nothing if nothing is there, or what is there and the ttl it has left, or the
-- server's error.
local call = redis.pcall
local last, ttl = ARGV[1], ARGV[2]
local answers
for i = 1, #KEYS do
  local key, at = KEYS[i], i + i + 1
  local answer
  if call('GETRANGE', key, '0', last) == ARGV[at] then
    answer = call('PSETEX', key, ttl, ARGV[at + 1])
    if answer.ok then
      answer = 1
    end
  else
    answer = call('GET', key)
    if type(answer) == 'string' then
      answer = { answer, call('PTTL', key) }
    end
  end
  if answer ~= 1 and not answers then
    answers = {}
    for before = 1, i - 1 do
      answers[before] = 1
    end
  end
  if answers then
    answers[i] = answer
  end
end
return answers or #KEYS
