-- Gives units of a quota back, if it is still the same period. KEYS and ARGV: hash, name, period, units.
local began, units = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(-?%d+):(%d+)$')
if began and tonumber(began) == tonumber(ARGV[2]) then
  local left = math.max(0, tonumber(units) - tonumber(ARGV[3]))
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f:%.0f', tonumber(began), left))
end
return 1
