-- limit -> {more 0 | 1, {{id, script, run, worker or '', status}...}, {{id, script, run, worker, status, retried 0 | 1}...},
--   {{id, script, queue, run, priority, waited ms}...}}
local limit = tonumber(ARGV[1])
local overdue, rescued, publish = {}, {}, {}

-- A clock that stepped, or a store that nobody swept for a while (it was away, or all workers were), tells nothing
-- of how long a claim has not been renewed. What a claim had left at the last sweep it is given again: its worker
-- then renews it, or ends its command, before anyone else may run the task. And nothing waits as long as a step back.
local swept = tonumber(redis.call('GET', KEY.swept) or NOW_TEXT)
redis.call('SET', KEY.swept, NOW_TEXT)
local step = NOW - swept
if step > LIMIT.unswept_ms then
  local held = redis.call('ZRANGEBYSCORE', KEY.leases, '(' .. int(swept), NOW_TEXT, 'WITHSCORES')
  for at = 1, #held, 2 do redis.call('ZADD', KEY.leases, int(held[at + 1] + step), held[at]) end
elseif step < -LIMIT.back_ms then
  -- What is noted for so far ahead was noted before the step, were it not for a time that somebody asked for.
  local before = '(' .. int(NOW + LIMIT.back_ms)
  local held = redis.call('ZRANGEBYSCORE', KEY.leases, before, '+inf', 'WITHSCORES')
  for at = 1, #held, 2 do redis.call('ZADD', KEY.leases, int(held[at + 1] + step), held[at]) end
  local later = redis.call('ZRANGEBYSCORE', KEY.hints, before, '+inf', 'WITHSCORES', 'LIMIT', 0, LIMIT.hints_moved)
  for at = 1, #later, 2 do
    local task = read(later[at])
    if not task.due then
      hint(task, later[at + 1] + step)
    elseif task.run ~= '0' then -- the pause before a retry
      redis.call('HSET', KEY.task .. task.id, F.due, int(task.due + step))
      hint(task, task.due + step)
    end
  end
end

local late = redis.call('ZRANGEBYSCORE', KEY.deadlines, '-inf', NOW_TEXT, 'LIMIT', 0, limit)
for _, id in ipairs(late) do
  local task = read(id)
  local at = overdue_at(task, task.status)
  if at and at <= NOW then
    local status, reason, body = 'exception', time_over(task)
    if task.cancel then status, reason, body = 'cancelled', 'cancelled', BODY.cancelled end
    close('overdue', task, '0', status, reason, body, false, 0)
    overdue[#overdue + 1] = {id, task.script, task.run, task.worker or '', status}
  elseif at then
    watch(task, task.status)
  else
    redis.call('ZREM', KEY.deadlines, id)
  end
end

-- Before the leases, so that a run which is made below is handed out once.
local due = redis.call('ZRANGEBYSCORE', KEY.hints, '-inf', NOW_TEXT, 'WITHSCORES', 'LIMIT', 0, limit)
for at = 1, #due, 2 do
  local id = due[at]
  local task = read(id)
  if task.status == 'pending' then
    -- Ever more rarely: most likely the message is not lost, but behind many others.
    local since = math.max(tonumber(task.run_created), tonumber(task.due) or 0)
    local waited = math.max(0, NOW - since)
    hint(task, NOW + math.max(LIMIT.hint_ms, math.min(waited, LIMIT.hint_most_ms)))
    publish[#publish + 1] = hinted(task, task.run, tonumber(due[at + 1]) == tonumber(task.due) and 0 or waited)
  else
    redis.call('ZREM', KEY.hints, id)
  end
end

local passed = redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', NOW_TEXT, 'LIMIT', 0, limit)
for _, id in ipairs(passed) do
  local task = read(id)
  if task.status == 'running' then
    local retry = not task.cancel and tonumber(task.retries) > 0
    local status, reason, body = 'exception', 'claim-expired', BODY.expired
    if task.cancel then status, reason, body = 'cancelled', 'cancelled', BODY.cancelled end
    local run = close('expired', task, '0', status, reason, body, retry, 0)
    rescued[#rescued + 1] = {id, task.script, task.run, task.worker, status, run and 1 or 0}
    if run then publish[#publish + 1] = hinted(task, run, 0) end
  else
    redis.call('ZREM', KEY.leases, id)
  end
end

-- Last, because what was ended above has made room.
local throttled = redis.call('HGETALL', KEY.throttled)
for at = 1, #throttled, 2 do
  local script, limits = throttled[at], throttled[at + 1]
  local waits = KEY.waiting .. script
  redis.call('ZREMRANGEBYSCORE', waits, int(CALLED), int(CALLED + NOW))
  hand_out(script, limits, limit, publish)
  if redis.call('ZCARD', waits) == 0 then redis.call('HDEL', KEY.throttled, script) end
end
return {(#late == limit or #passed == limit or #due == 2 * limit) and 1 or 0, overdue, rescued, publish}
