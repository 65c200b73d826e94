-- id, target, ms within which it has to be started or '', 13 arguments as asked() takes them, then for each worker that is
-- meant its name and the id of its task; none when the task itself is for one worker
--   -> {created | same | conflict, id of the task, {{id, script, queue, run, priority, waited ms}...}}
-- All tasks, or nothing. The one that stands for them runs from the beginning: nobody claims it, and it has no lease.
local id, target, within, new = ARGV[1], ARGV[2], tonumber(ARGV[3]), asked(4)
local task = read(id)
if not task.script then task = namesake(new) end
if task then
  local is_same = same(task, new) and redis.call('HGET', KEY.task .. task.id, F.target) == target
  return {is_same and 'same' or 'conflict', task.id, {}}
end
for at = 17, #ARGV, 2 do
  if redis.call('EXISTS', KEY.task .. ARGV[at + 1]) == 1 then return {'conflict', ARGV[at + 1], {}} end
end
local start_by = within and math.max(NOW, tonumber(new.due) or 0) + within
if start_by then new.start_by = int(start_by) end
local publish = {}

local function pending(one)
  if one.due then return end
  -- Whoever addresses many is more often killed before all are published than somebody who submits one.
  hint(one, NOW + LIMIT.step_hint_ms)
  publish[#publish + 1] = hinted(one, '0', 0)
end

if not ARGV[17] then
  pending(register(id, new))
  redis.call('HSET', KEY.task .. id, F.target, target)
  return {'created', id, publish}
end
local parent = register(id, new, {})
local children = {}
for at = 17, #ARGV, 2 do children[#children + 1] = ARGV[at] .. '=' .. ARGV[at + 1] end
redis.call('HDEL', KEY.task .. id, F.due)
redis.call('HSET', KEY.task .. id, F.status, 'running', F.retries, '0', F.target, target,
  F.children, table.concat(children, ' '), F.left, #children, F.good, '0')
redis.call('UNLINK', KEY.payload .. id)
redis.call('SADD', KEY.parents .. parent.script, id)
list(parent, 'running')
event('claimed', parent, '0', 'running')
new.key = false
for at = 17, #ARGV, 2 do
  new.queue = OWN.prefix .. ARGV[at]
  local child = register(ARGV[at + 1], new)
  redis.call('HSET', KEY.task .. child.id, F.parent, id)
  pending(child)
end
return {'created', id, publish}
