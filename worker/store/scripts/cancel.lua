-- id, request (rest of a JSON object), body of a run that never starts
--   -> {cancelled | requested | already | final | unknown, status, worker or ''}
local id, request, body = ARGV[1], ARGV[2], ARGV[3]
local task = read(id)
if not task.script then return {'unknown', '', ''} end
if FINAL[task.status] then return {'final', task.status, ''} end
if task.cancel then return {'already', task.status, task.worker or ''} end
redis.call('HSET', KEY.task .. id, F.cancel, '{"at":' .. int(NOW) .. ',' .. request)
if task.status == 'pending' then
  close('cancelled', task, '0', 'cancelled', 'cancelled', body, false, 0)
  return {'cancelled', 'cancelled', ''}
end
event('cancel-requested', task, task.run, task.status, '', task.worker)
return {'requested', task.status, task.worker}
