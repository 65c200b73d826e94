-- id, worker, claim, lease ms [, script, queue, digest, about, shown, retries, payload]
--   -> {granted, run, token, payload, script, queue, retries, about, created, cancel or ''}
--    | {final | busy | conflict, status} | {unknown} | {lost}
local id, worker, claim, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local new = ARGV[5] and {
  script = ARGV[5], queue = ARGV[6], digest = ARGV[7], about = ARGV[8], shown = ARGV[9], retries = ARGV[10],
  payload = ARGV[11],
}
local task = read(id)
if not task.script then
  if not new then return {'unknown'} end
  task = register(id, new)
elseif new and (task.script ~= new.script or task.digest ~= new.digest) then
  return {'conflict', task.status}
end
if FINAL[task.status] then return {'final', task.status} end

local payload = redis.call('GET', KEY.payload .. id)
if not payload then return {'lost'} end
local token
if task.status == 'running' then
  -- The same call again, after its answer was lost on the way: the same answer.
  if task.claim ~= claim or task.worker ~= worker then return {'busy', task.status} end
  token = task.token
else
  if task.due and tonumber(task.due) > NOW then return {'busy', task.status} end
  if not allowed(task.status, 'running') then return {'busy', task.status} end
  token = tick()
  local key = KEY.task .. id
  redis.call('HSET', key, F.status, 'running', F.worker, worker, F.token, token, F.claim, claim,
    F.claimed, int(NOW))
  if task.due then redis.call('HDEL', key, F.due) end
  redis.call('ZREM', KEY.hints, id)
  redis.call('ZADD', KEY.leases, int(NOW + lease), id)
  relist(task, 'running')
  event('claimed', task, task.run, 'running', '', worker)
end
return {'granted', task.run, token, payload, task.script, task.queue, task.retries, task.about, task.created,
  task.cancel or ''}
