-- In front of every script. KEY.x, F.x, LIMIT.x, OWN.x and BODY.x are no tables: they are replaced by the quoted prefix of
-- a key, the quoted name of a field, as keys.py has them, a number, what the queues of single workers begin with, and the
-- quoted end of a run, because building tables at every call costs as much as the work itself. For the same reason each
-- script has only the parts in front that it needs, and what most calls need stands before what few do: a function is made
-- where the script comes by its text.
--
-- All clocks are the server's. Nothing is written before everything is checked: a script that fails half way
-- is not rolled back.

local TIME = redis.call('TIME')
-- Milliseconds since the epoch.
local NOW_TEXT = string.format('%s%03d', TIME[1], TIME[2] / 1000)
local NOW = tonumber(NOW_TEXT)

-- Numbers up to 2^53 as text; tostring() would round them and use exponents. So may the server with a number that it is
-- given: the score of a sorted set may be one, a value that is kept may not.
local function int(number)
  return string.format('%.0f', number)
end

-- Microseconds since the epoch, but never the same twice and never less than before. As a token it stays
-- larger than one that was given before the server lost its last second.
local function tick()
  local at = string.format('%s%06d', TIME[1], TIME[2])
  local last = redis.call('SET', KEY.clock, at, 'GET')
  if not last or tonumber(last) < tonumber(at) then return at end
  at = int(tonumber(last) + 1)
  redis.call('SET', KEY.clock, at)
  return at
end
