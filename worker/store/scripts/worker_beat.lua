-- name, process, pulse, card and what it admits when they have changed -> kept, wishes | unknown | other
local name, instance = ARGV[1], ARGV[2]
local is = heard(name)
if not is then return {'unknown'} end
if is.instance ~= instance then return {'other'} end
if ARGV[4] then
  redis.call('HSET', KEY.workers, name, ARGV[4])
  redis.call('HSET', KEY.worker_admits, name, ARGV[5])
end
beat(name, instance, int(is.beat), is.began, '+', ARGV[3])
return {'kept', wishes(name)}
