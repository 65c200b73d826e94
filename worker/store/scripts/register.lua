-- id, then the task as asked() takes it -> {created | same | conflict, id of the task}
local id, new = ARGV[1], asked(2)
local task = read(id)
if not task.script then task = namesake(new) end
if not task then
  register(id, new)
  return {'created', id}
end
return {same(task, new) and 'same' or 'conflict', task.id}
