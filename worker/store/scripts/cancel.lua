-- id, request (rest of a JSON object), body of a run that never starts
--   -> {cancelled | requested | already | final | unknown, status, worker or ''}
local request, body = ARGV[2], ARGV[3]

local function cancel(id)
  local task = read(id)
  if not task.script then return {'unknown', '', ''} end
  if final(task.status) then return {'final', task.status, ''} end
  if task.cancel then return {'already', task.status, task.worker or ''} end
  redis.call('HSET', KEY.task .. id, F.cancel, '{"at":' .. NOW_TEXT .. ',' .. request)
  if task.status == 'pending' then
    close('cancelled', task, '0', 'cancelled', 'cancelled', body, false, 0)
    return {'cancelled', 'cancelled', ''}
  end
  event('cancel-requested', task, task.run, task.status, '', task.worker)
  return {'requested', task.status, task.worker or ''}
end

local answer = cancel(ARGV[1])
-- Of a task that stands for those of several workers these are ended; it ends with the last of them.
local children = answer[1] == 'requested' and redis.call('HGET', KEY.task .. ARGV[1], F.children)
if children then
  for child in string.gmatch(children, '=(%S+)') do cancel(child) end
  answer[2] = redis.call('HGET', KEY.task .. ARGV[1], F.status)
  if final(answer[2]) then answer[1] = 'cancelled' end
end
return answer
