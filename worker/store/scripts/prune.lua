-- oldest kept: age in ms or '', how many are kept or '', limit, script or '', then scripts that are left alone
--   -> ids that were removed
local age, keep, limit, only = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local left_alone = {}
for at = 5, #ARGV do left_alone[ARGV[at]] = true end

-- The oldest of each script; the next to go is the oldest of these.
local function oldest(script)
  local head = redis.call('ZRANGE', KEY.finished .. script, 0, 0, 'WITHSCORES')
  return head[1] and {script = script, id = head[1], at = tonumber(head[2])}
end
local heads, total = {}, 0
for _, script in ipairs(only ~= '' and {only} or redis.call('SMEMBERS', KEY.finished_scripts)) do
  if not left_alone[script] then
    heads[#heads + 1] = oldest(script)
    total = total + redis.call('ZCARD', KEY.finished .. script)
  end
end

local ids = {}
while #ids < limit and #heads > 0 do
  local first = 1
  for at = 2, #heads do
    if heads[at].at < heads[first].at then first = at end
  end
  local head = heads[first]
  if not ((age and head.at <= NOW - age) or (keep and total > keep)) then break end
  local task = read(head.id)
  if task.script then unlist(task, task.status) end
  local key = redis.call('HGET', KEY.task .. head.id, F.key)
  if key and redis.call('HGET', KEY.idempotency, key) == head.id then redis.call('HDEL', KEY.idempotency, key) end
  redis.call('ZREM', KEY.finished .. head.script, head.id)
  redis.call('UNLINK', KEY.task .. head.id, KEY.payload .. head.id)
  ids[#ids + 1] = head.id
  total = total - 1
  local following = oldest(head.script)
  if following then
    heads[first] = following
  else
    table.remove(heads, first)
    redis.call('SREM', KEY.finished_scripts, head.script)
  end
end
return ids
