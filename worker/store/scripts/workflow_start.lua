-- id, workflow, definition, input, shown, digest, steps, who, trigger, rerun of or '' -> created | same | conflict
local id, workflow, digest = ARGV[1], ARGV[2], ARGV[6]
local key = KEY.workflow_run .. id
local is = redis.call('HMGET', key, WF.workflow, WF.digest)
if is[1] then return is[1] == workflow and is[2] == digest and 'same' or 'conflict' end
local position = tick()
redis.call('HSET', key, WF.workflow, workflow, WF.status, 'pending', WF.version, '1', WF.definition, ARGV[3],
  WF.input, ARGV[4], WF.shown, ARGV[5], WF.digest, digest, WF.steps, ARGV[7], WF.who, ARGV[8], WF.trigger, ARGV[9],
  WF.created, NOW_TEXT, WF.changed, NOW_TEXT, WF.position, position)
if ARGV[10] ~= '' then redis.call('HSET', key, WF.rerun_of, ARGV[10]) end
redis.call('ZADD', KEY.workflow_runs, position, id)
redis.call('ZADD', KEY.workflow_runs_of .. workflow, position, id)
redis.call('ZADD', KEY.workflow_due, NOW_TEXT, id)
return 'created'
