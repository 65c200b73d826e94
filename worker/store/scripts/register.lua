-- id, script, queue, digest, about, shown, retries, payload -> created | same | conflict
local id = ARGV[1]
local new = {
  script = ARGV[2], queue = ARGV[3], digest = ARGV[4], about = ARGV[5], shown = ARGV[6], retries = ARGV[7],
  payload = ARGV[8],
}
local task = read(id)
if not task.script then
  register(id, new)
  return 'created'
end
if task.script == new.script and task.digest == new.digest then return 'same' end
return 'conflict'
