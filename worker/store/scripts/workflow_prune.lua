-- oldest kept: age in ms or '', how many are kept or '', limit -> how many were removed
local age, keep = tonumber(ARGV[1]), tonumber(ARGV[2])
local total, removed = redis.call('ZCARD', KEY.workflow_finished), 0
local oldest = redis.call('ZRANGE', KEY.workflow_finished, 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
for at = 1, #oldest, 2 do
  local id, finished = oldest[at], tonumber(oldest[at + 1])
  if not ((age and finished <= NOW - age) or (keep and total - removed > keep)) then break end
  local workflow = redis.call('HGET', KEY.workflow_run .. id, WF.workflow)
  if workflow then redis.call('ZREM', KEY.workflow_runs_of .. workflow, id) end
  redis.call('ZREM', KEY.workflow_runs, id)
  redis.call('ZREM', KEY.workflow_finished, id)
  redis.call('ZREM', KEY.workflow_due, id)
  redis.call('UNLINK', KEY.workflow_run .. id)
  removed = removed + 1
end
return removed
