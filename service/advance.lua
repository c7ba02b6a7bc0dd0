-- Move copies of counts to the truth, then look pages up, in one step.
-- KEYS: those to move, then those to look up. ARGV: how many are moved, the time to live in milliseconds, and for each
-- its committed count and a count that was proved to be ahead of the truth, or '' if none was.
local function valid(value)
  -- As cache.py has it. A reply of another type is an error table: the key holds no string.
  return type(value) == 'string' and #value <= 16
    and (value == '0' or string.match(value, '^[1-9]%d*$') ~= nil)
    and tonumber(value) <= 9007199254740991
end

local moved, lifetime = tonumber(ARGV[1]), ARGV[2]
for index = 1, moved do
  local key, text = KEYS[index], ARGV[2 * index + 1]
  local current = redis.pcall('GET', key)
  local count, wrong = tonumber(text), tonumber(ARGV[2 * index + 2])
  local copy = valid(current) and tonumber(current) or -1
  if copy < count or (wrong and copy >= wrong) then
    redis.call('SET', key, text, 'PX', lifetime)
  elseif copy == count then
    redis.call('PEXPIRE', key, lifetime)
  end
end

local found = {}
for index = moved + 1, #KEYS do
  local value = redis.pcall('GET', KEYS[index])
  found[index - moved] = type(value) == 'string' and value or false
end
return found
