-- limit, body of an expired run, body of an expired run that was to be cancelled
--   -> {more 0 | 1, {{id, script, run, worker, status, retried 0 | 1}...}, {{id, script, queue, run}...}}
local limit, expired, cancelled = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local rescued, publish = {}, {}

-- Before the leases, so that a run which is made below is handed out once.
local due = redis.call('ZRANGEBYSCORE', KEY.hints, '-inf', int(NOW), 'LIMIT', 0, limit)
for _, id in ipairs(due) do
  local task = read(id)
  if task.status == 'pending' then
    hint(task, NOW + LIMIT.hint_ms)
    publish[#publish + 1] = {id, task.script, task.queue, task.run}
  else
    redis.call('ZREM', KEY.hints, id)
  end
end
local passed = redis.call('ZRANGEBYSCORE', KEY.leases, '-inf', int(NOW), 'LIMIT', 0, limit)
for _, id in ipairs(passed) do
  local task = read(id)
  if task.status == 'running' then
    local retry = not task.cancel and tonumber(task.retries) > 0
    local status, reason, body = 'exception', 'claim-expired', expired
    if task.cancel then status, reason, body = 'cancelled', 'cancelled', cancelled end
    local run = close('expired', task, '0', status, reason, body, retry, 0)
    rescued[#rescued + 1] = {id, task.script, task.run, task.worker, status, run and 1 or 0}
    if run then publish[#publish + 1] = {id, task.script, task.queue, run} end
  else
    redis.call('ZREM', KEY.leases, id)
  end
end
return {(#passed == limit or #due == limit) and 1 or 0, rescued, publish}
