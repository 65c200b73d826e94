-- id, version that was read, status, steps, final 0 | 1,
-- milliseconds after which it is due again or '', then for each task that begins: its id, milliseconds that it
-- has or '', and 13 arguments as asked() takes them
--   -> {done, {{id, script, queue, run, priority, waited ms}...}} | {stale} | {conflict, id of the task}
-- The change and all its tasks, or nothing.
local id, version = ARGV[1], ARGV[2]
local key = KEY.workflow_run .. id
local is = redis.call('HMGET', key, WF.version, WF.finished)
if not is[1] or is[1] ~= version or is[2] then
  -- Nobody has to look at what has ended, or is not there any more.
  if not is[1] or is[2] then redis.call('ZREM', KEY.workflow_due, id) end
  return {'stale'}
end
local begun = {}
for at = 7, #ARGV, 15 do
  local task_id, new = ARGV[at], asked(at + 2)
  local task = read(task_id)
  if task.script and not (same(task, new) and task.workflow == new.workflow) then return {'conflict', task_id} end
  if not task.script then
    if ARGV[at + 1] ~= '' then new.deadline = int(NOW + tonumber(ARGV[at + 1])) end
    begun[#begun + 1] = {task_id, new}
  end
end
local publish = {}
for _, each in ipairs(begun) do
  local task = register(each[1], each[2])
  -- Whoever advances a run is more often killed before it publishes than somebody who submits.
  hint(task, NOW + LIMIT.step_hint_ms)
  publish[#publish + 1] = hinted(task, '0', 0)
end
redis.call('HINCRBY', key, WF.version, 1)
redis.call('HSET', key, WF.status, ARGV[3], WF.steps, ARGV[4], WF.changed, NOW_TEXT)
if ARGV[6] == '' then
  redis.call('ZREM', KEY.workflow_due, id)
else
  redis.call('ZADD', KEY.workflow_due, int(NOW + tonumber(ARGV[6])), id)
end
if ARGV[5] == '1' then
  redis.call('HSET', key, WF.finished, NOW_TEXT)
  redis.call('HDEL', key, WF.input)
  redis.call('ZADD', KEY.workflow_finished, NOW_TEXT, id)
end
return {'done', publish}
