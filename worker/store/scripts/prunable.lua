-- oldest kept: age in ms or '', how many are kept or '', limit, script or '', then scripts that are left alone
--   -> id, script and time of the end of each task that is to go
local age, keep, limit, only = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local left_alone = {}
for at = 5, #ARGV do left_alone[ARGV[at]] = true end

-- The oldest of each script, then the one after it; the next to go is the oldest of these.
local function oldest(script, rank)
  local head = redis.call('ZRANGE', KEY.finished .. script, rank, rank, 'WITHSCORES')
  return head[1] and {script = script, rank = rank, id = head[1], at = tonumber(head[2])}
end
local heads, total = {}, 0
for _, script in ipairs(only ~= '' and {only} or redis.call('SMEMBERS', KEY.finished_scripts)) do
  if not left_alone[script] then
    heads[#heads + 1] = oldest(script, 0)
    total = total + redis.call('ZCARD', KEY.finished .. script)
  end
end

local found = {}
while #found < 3 * limit and #heads > 0 do
  local first = 1
  for at = 2, #heads do
    if heads[at].at < heads[first].at then first = at end
  end
  local head = heads[first]
  if not ((age and head.at <= NOW - age) or (keep and total > keep)) then break end
  found[#found + 1] = head.id
  found[#found + 1] = head.script
  found[#found + 1] = int(head.at)
  total = total - 1
  local following = oldest(head.script, head.rank + 1)
  if following then
    heads[first] = following
  else
    table.remove(heads, first)
  end
end
return found
