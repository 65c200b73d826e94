-- id, then the task as asked() takes it -> {created | same | conflict, id of the task}
local id, new = ARGV[1], asked(2)
local task = read(id)
if not task.script then task = namesake(new) end
if not task then
  register(id, new)
  return {'created', id}
end
-- One that is for certain workers is no task for any.
local is_same = same(task, new) and redis.call('HEXISTS', KEY.task .. task.id, F.target) == 0
return {is_same and 'same' or 'conflict', task.id}
