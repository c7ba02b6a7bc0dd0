-- Move a copy of a count to the truth, in one step.
-- KEYS[1]: the key. ARGV: the committed count, its time to live in milliseconds, and a count that was proved
-- to be ahead of the truth, or '' if none was.
local function valid(value)
  -- As cache.py has it. A reply of another type is an error table: the key holds no string.
  return type(value) == 'string' and #value <= 16
    and (value == '0' or string.match(value, '^[1-9]%d*$') ~= nil)
    and tonumber(value) <= 9007199254740991
end

local current = redis.pcall('GET', KEYS[1])
local count, wrong = tonumber(ARGV[1]), tonumber(ARGV[3])
local copy = valid(current) and tonumber(current) or -1

if copy < count or (wrong and copy >= wrong) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
elseif copy == count then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
