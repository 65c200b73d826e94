-- name, slot or '' for a trigger by hand, id of its task or run or '', why there is none or '', how many ids are kept,
-- tasks | runs: what the id is of
-- -> 1, or 0 when that slot was settled before or the schedule is gone
local name, slot, task, trouble = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = KEY.schedule .. name
local ids = (ARGV[6] == 'runs' and KEY.schedule_runs or KEY.schedule_tasks) .. name
local waiting = redis.call('HGET', key, SF.waiting)
if redis.call('EXISTS', key) == 0 then return 0 end
if slot ~= '' then
  local left, found = {}, false
  for each in string.gmatch(waiting or '', '%d+') do
    if each == slot then found = true else left[#left + 1] = each end
  end
  if not found then return 0 end
  redis.call('HSET', key, SF.version, tick(), SF.waiting, table.concat(left, ' '))
  if task ~= '' then redis.call('HSET', key, SF.last_slot, slot, SF.last_task, task) end
end
if task ~= '' then
  redis.call('HDEL', key, SF.trouble, SF.trouble_at)
  redis.call('ZADD', ids, NOW_TEXT, task)
  redis.call('ZREMRANGEBYRANK', ids, 0, int(-1 - tonumber(ARGV[5])))
else
  redis.call('HSET', key, SF.trouble, trouble, SF.trouble_at, NOW_TEXT)
end
return 1
