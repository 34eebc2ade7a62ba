-- Charges all limits of a request, or none (GCRA).
--
-- KEYS     one for each limit
-- ARGV     five for each limit: what the request costs and what the burst costs, both in time as whole
--          microseconds and a remainder, which is in parts of a microsecond, and how many parts that has:
--          cost, cost's remainder, burst, burst's remainder, parts
-- returns  the number of the first limit that refuses (0: none) and its wait, then for each limit how
--          long until it is full again, as microseconds and parts
--
-- What is kept of a limit is the time at which its whole burst is there again, and what the burst was:
-- a clock that is set back can then make nobody wait for longer than a whole burst takes.
-- All numbers are integers below 2^53, which a double holds exactly.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local refused, wait = 0, 0
local before, after = {}, {}
for i = 1, #KEYS do
  local at = (i - 1) * 5
  local cost, cost_parts = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local burst, burst_parts = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local parts = tonumber(ARGV[at + 5])
  local full, full_parts = now, 0
  local kept = redis.call('GET', KEYS[i])
  if kept then
    local f, p, of, b = string.match(kept, '^(%d+):(%d+):(%d+):(%d+)$')
    f, p, of, b = tonumber(f), tonumber(p), tonumber(of), tonumber(b)
    if f and f >= now then
      if f - now > b then
        full = now + b
      elseif of == parts then
        full, full_parts = f, p
      else
        -- The limit was changed: parts of a microsecond are not worth converting.
        full = f
        if p > 0 then full = f + 1 end
      end
    end
  end
  before[i] = {full, full_parts}
  local next, next_parts = full + cost, full_parts + cost_parts
  if next_parts >= parts then
    next, next_parts = next + 1, next_parts - parts
  end
  after[i] = {next, next_parts, parts, burst + 1}
  local over = next - now - burst
  if refused == 0 and (over > 0 or (over == 0 and next_parts > burst_parts)) then
    refused, wait = i, over
    if next_parts > burst_parts then wait = wait + 1 end
  end
end
local standing = after
if refused > 0 then
  standing = before
else
  for i = 1, #KEYS do
    local full, full_parts, parts, burst = unpack(after[i])
    local keep = math.floor((full - now) / 1000) + 1
    redis.call('SET', KEYS[i], string.format('%.0f:%.0f:%.0f:%.0f', full, full_parts, parts, burst),
      'PX', string.format('%.0f', keep))
  end
end
local answer = {refused, wait}
for i = 1, #KEYS do
  answer[#answer + 1] = standing[i][1] - now
  answer[#answer + 1] = standing[i][2]
end
return answer
