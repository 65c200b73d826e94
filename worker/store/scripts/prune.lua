-- oldest kept: age in ms or '', how many are kept or '', limit -> ids that were removed
local age, keep, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local count = 0
if age then count = redis.call('ZCOUNT', KEY.finished, '-inf', int(NOW - age)) end
if keep then count = math.max(count, redis.call('ZCARD', KEY.finished) - keep) end
count = math.min(count, limit)
if count <= 0 then return {} end
local ids = redis.call('ZRANGE', KEY.finished, 0, count - 1)
for _, id in ipairs(ids) do
  local task = read(id)
  if task.script then unlist(task, task.status) end
  redis.call('ZREM', KEY.finished, id)
  redis.call('UNLINK', KEY.task .. id, KEY.payload .. id)
end
return ids
