-- name, the declaration that it replaces or '', the new one, how many there may be, now, its timing, salt, 'anew', or ''
-- to go on where it is, or 'same' when it says what it said -> done | there | changed | full
local name, before = ARGV[1], ARGV[2]
local is = redis.call('HGET', KEY.schedules, name)
if before == '' and is then return 'there' end
if before ~= '' and is ~= before then return 'changed' end
if not is and redis.call('HLEN', KEY.schedules) >= tonumber(ARGV[4]) then return 'full' end
local key = KEY.schedule .. name
redis.call('HSET', KEY.schedules, name, ARGV[3])
if not is then redis.call('DEL', key, KEY.schedule_tasks .. name, KEY.schedule_runs .. name) end
if redis.call('HSETNX', key, SF.salt, ARGV[7]) == 1 or ARGV[8] == 'anew' then
  redis.call('HSET', key, SF.handled, ARGV[5], SF.timing, ARGV[6])
  redis.call('HDEL', key, SF.waiting)
end
if ARGV[8] ~= 'same' then redis.call('HDEL', key, SF.trouble, SF.trouble_at) end
redis.call('HSET', key, SF.version, tick())
redis.call('XADD', KEY.schedule_changes, 'MAXLEN', '~', 100, '*', 'name', name)
return 'done'
