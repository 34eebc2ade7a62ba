-- Takes back what take.lua charged. KEYS and ARGV are those of take.lua.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
for i = 1, #KEYS do
  local at = (i - 1) * 5
  local cost, cost_parts = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local parts = tonumber(ARGV[at + 5])
  local kept = redis.call('GET', KEYS[i])
  local f, p, of, b = string.match(kept or '', '^(%d+):(%d+):(%d+):(%d+)$')
  f, p, of = tonumber(f), tonumber(p), tonumber(of)
  if f and of == parts then
    f, p = f - cost, p - cost_parts
    if p < 0 then
      f, p = f - 1, p + parts
    end
    if f < now then
      redis.call('DEL', KEYS[i])
    else
      local keep = math.floor((f - now) / 1000) + 1
      redis.call('SET', KEYS[i], string.format('%.0f:%.0f:%.0f:%s', f, p, parts, b),
        'PX', string.format('%.0f', keep))
    end
  end
end
return 1
