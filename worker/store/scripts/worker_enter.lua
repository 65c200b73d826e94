-- name, process, how often it beats, card, what it admits, pulse, a process that is gone or '' -> entered, wishes |
-- taken, the card of the one that has the name, when that was last heard of
local name, instance = ARGV[1], ARGV[2]
local is = heard(name)
local began = NOW_TEXT
if is and is.instance == instance then
  began = is.began
elseif is and is.instance ~= ARGV[7] and lives(is) then
  return {'taken', redis.call('HGET', KEY.workers, name) or '', int(is.at)}
end
redis.call('HSET', KEY.workers, name, ARGV[4])
redis.call('HSET', KEY.worker_admits, name, ARGV[5])
beat(name, instance, ARGV[3], began, '+', ARGV[6])
return {'entered', wishes(name)}
