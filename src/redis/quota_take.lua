-- Takes units of a quota. KEYS[1] is the hash of the key's quotas.
-- ARGV: name, when the period began (ms), wanted, limit, for how long to keep the hash (ms)
local name, period = ARGV[1], tonumber(ARGV[2])
local wanted, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local began, units = string.match(redis.call('HGET', KEYS[1], name) or '', '^(-?%d+):(%d+)$')
began, units = tonumber(began), tonumber(units)
if not began or began < period then
  began, units = period, 0
end
local given = math.max(0, math.min(wanted, limit - units))
if given > 0 then
  redis.call('HSET', KEYS[1], name, string.format('%.0f:%.0f', began, units + given))
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return given
