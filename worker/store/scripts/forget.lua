-- id, script and time of the end of each task, as prunable has them -> how many were removed
local removed = 0
for at = 1, #ARGV, 3 do
  local id, script = ARGV[at], ARGV[at + 1]
  -- Only what is final stands there, and only that end of it was asked for: the id may be another task's by now.
  if tonumber(redis.call('ZSCORE', KEY.finished .. script, id)) == tonumber(ARGV[at + 2]) then
    local task = read(id)
    if task.script then unlist(task, task.status) end
    local key = redis.call('HGET', KEY.task .. id, F.key)
    key = key and key_of(script, key)
    if key and redis.call('HGET', KEY.idempotency, key) == id then redis.call('HDEL', KEY.idempotency, key) end
    redis.call('ZREM', KEY.finished .. script, id)
    if redis.call('ZCARD', KEY.finished .. script) == 0 then redis.call('SREM', KEY.finished_scripts, script) end
    redis.call('UNLINK', KEY.task .. id, KEY.payload .. id)
    removed = removed + 1
  end
end
return removed
