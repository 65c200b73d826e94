-- id, run, token, status, reason, body, more 0 | 1, delay ms, others may wait for room 0 | 1 [, fields of an entry that is the whole live log]
--   -> {recorded | already | stale, number of the next run or '', {{id, script, queue, run, priority, waited ms}...}}
local id, run, token, status, reason, body = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local more, delay = ARGV[7] == '1', tonumber(ARGV[8])
local task = read(id)
local publish = {}
if task.status == 'running' and task.run == run and task.token == token then
  if not final(status) or not allowed(task.status, status) then
    return redis.error_reply('PENSTOCK a running run cannot become ' .. status)
  end
  -- Nobody wants a successor of what was cancelled.
  local following = close('resolved', task, token, status, reason, body, more and not task.cancel, delay,
    ARGV[10] and {unpack(ARGV, 10)})
  if following and delay == 0 then publish[1] = hinted(task, following, 0) end
  local limits = ARGV[9] == '1' and redis.call('HGET', KEY.throttled, task.script)
  if limits then hand_out(task.script, limits, 1, publish) end
  return {'recorded', following or '', publish}
end
local ended = redis.call('HGET', KEY.task .. id, run)
if ended and (string.match(ended, '^{"k":(%d+),') or task.position) == token then
  local following = tonumber(task.run) > tonumber(run) and int(tonumber(run) + 1) or ''
  if task.status == 'pending' and task.run == following and not task.due then
    publish[1] = hinted(task, following, 0)
  end
  return {'already', following, publish}
end
return {'stale', '', publish}
