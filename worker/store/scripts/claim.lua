-- id, worker, claim, lease ms, limits or '', script or '' [, the task as asked() takes it]
--   -> {granted, run, token, payload, script, queue, retries, about, created, now, deadline or '', cancel or '', step or ''}
--    | {final | busy | throttled | conflict | duplicate, status} | {unknown} | {lost}
local function startable(new)
  local limit, only = start_limit(new), addressee(new)
  return not (new.due and tonumber(new.due) > NOW) and not (limit and limit <= NOW) and not (only and only ~= ARGV[2])
end

local id, worker, claim, lease, limits = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local script = ARGV[6]
local new = ARGV[7] and asked(7)
local task = read(id)
-- Made and started in one: most tasks of a Celery producer.
local at_once = false
if not task.script then
  if not new then return {'unknown'} end
  local other = namesake(new)
  if other then return {same(other, new) and 'duplicate' or 'conflict', other.status} end
  at_once = limits == '' and (script == '' or script == new.script) and startable(new)
  task = register(id, new, at_once and {worker = worker, claim = claim})
elseif new and not same(task, new) then
  return {'conflict', task.status}
end
-- A message can only ask for the script that the task was made for.
if script ~= '' and task.script ~= script then return {'conflict', task.status} end
if final(task.status) then return {'final', task.status} end

local token, payload
if task.status == 'running' then
  -- The same call again, after its answer was lost on the way: the same answer, and a whole lease from now on.
  if task.claim ~= claim or task.worker ~= worker then return {'busy', task.status} end
  redis.call('ZADD', KEY.leases, int(NOW + lease), id)
  token = task.token
  payload = redis.call('GET', KEY.payload .. id)
else
  local limit = start_limit(task)
  if limit and limit <= NOW then
    local reason, body = time_over(task)
    close('overdue', task, '0', 'exception', reason, body, false, 0)
    return {'final', 'exception'}
  end
  if task.due and tonumber(task.due) > NOW then return {'busy', task.status} end
  local only = addressee(task)
  if only and only ~= worker then return {'busy', task.status} end
  if not allowed(task.status, 'running') then return {'busy', task.status} end
  payload = at_once and new.payload or redis.call('GET', KEY.payload .. id)
  if not payload then return {'lost'} end
  if limits ~= '' then
    if room(task.script, limits, 1) < 1 then
      wait(task, limits)
      return {'throttled', task.status}
    end
    started(task, limits)
  end
  token = task.token or tick()
  redis.call('ZADD', KEY.leases, int(NOW + lease), id)
  if at_once then
    list(task, 'running')
  else
    redis.call('HSET', KEY.task .. id, F.status, 'running', F.worker, worker, F.token, token, F.claim, claim,
      F.claimed, NOW_TEXT)
    redis.call('ZREM', KEY.hints, id)
    relist(task, 'running')
  end
  watch(task, 'running')
  event('claimed', task, task.run, 'running', '', worker)
end
return {'granted', task.run, token, payload, task.script, task.queue, task.retries, task.about, task.created, NOW,
  task.deadline or '', task.cancel or '', task.workflow or ''}
