-- name -> 1, or 0 when there was none
local name = ARGV[1]
if redis.call('HDEL', KEY.schedules, name) == 0 then return 0 end
redis.call('DEL', KEY.schedule .. name, KEY.schedule_tasks .. name, KEY.schedule_runs .. name)
redis.call('XADD', KEY.schedule_changes, 'MAXLEN', '~', 100, '*', 'name', name)
return 1
