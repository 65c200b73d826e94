-- The limits of a script over all workers, and the tasks that wait for room. Stands behind tasks.lua in the scripts
-- that need it. Limits are text, `<at a time> <starts> <in milliseconds>`, each of them empty for none.

-- In a list of waiting tasks those that were handed out have the time when their message counts as lost as their
-- score, plus this, which is more than any other score: milliseconds times the ten priorities.
local CALLED = 1000000000000000

-- How many runs may start now; nothing above `wanted` is counted.
local function room(script, limits, wanted)
  local most, count, period = string.match(limits, '^(%d*) (%d*) (%d*)$')
  local free = wanted
  if most ~= '' then
    -- A task that stands for those of several workers runs nothing itself.
    local running = redis.call('ZCARD', KEY.by_script .. script .. ':running') - redis.call('SCARD', KEY.parents .. script)
    free = math.min(free, tonumber(most) - running)
  end
  if count == '' then return free end
  for more = 1, math.min(free, tonumber(count)) do
    -- The newest but so many: it must be out of the window before one more may start.
    local start = tonumber(redis.call('LINDEX', KEY.starts .. script, int(tonumber(count) - more)))
    -- One that is yet to come was noted before the clock went back.
    if start and start > NOW - tonumber(period) and start <= NOW then return more - 1 end
  end
  return math.min(free, tonumber(count))
end

local function wait(task, limits)
  local score = (9 - tonumber(task.priority or '0')) * 10000000000000 + tonumber(task.created)
  redis.call('ZADD', KEY.waiting .. task.script, int(score), task.id)
  redis.call('HSET', KEY.throttled, task.script, limits)
  redis.call('ZREM', KEY.hints, task.id)
end

local function started(task, limits)
  redis.call('ZREM', KEY.waiting .. task.script, task.id)
  local count, period = string.match(limits, ' (%d+) (%d+)$')
  if count then
    local starts = KEY.starts .. task.script
    redis.call('LPUSH', starts, NOW_TEXT)
    redis.call('LTRIM', starts, 0, int(tonumber(count) - 1))
    redis.call('PEXPIRE', starts, period)
  end
end

-- Add as many waiting tasks to `publish` as there is room for, at most `most`.
local function hand_out(script, limits, most, publish)
  local waits = KEY.waiting .. script
  local called = redis.call('ZCOUNT', waits, '(' .. int(CALLED + NOW), '+inf')
  local free = math.min(most, room(script, limits, most + called) - called)
  if free <= 0 then return end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', waits, '-inf', '(' .. int(CALLED), 'LIMIT', 0, int(free))) do
    local task = read(id)
    if task.status == 'pending' then
      redis.call('ZADD', waits, int(CALLED + NOW + LIMIT.hint_ms), id)
      hint(task, NOW + LIMIT.hint_ms)
      publish[#publish + 1] = hinted(task, task.run, 0)
    else
      redis.call('ZREM', waits, id)
    end
  end
end
