-- name, drain | pause, by whom and why as JSON or '' to take it back -> 1 | 0 for an unknown worker. Who asks for what
-- was asked for already changes nothing.
local name, field = ARGV[1], ARGV[1] .. ':' .. ARGV[2]
if redis.call('HEXISTS', KEY.worker_beats, name) == 0 then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEY.worker_wishes, field)
else
  redis.call('HSETNX', KEY.worker_wishes, field, NOW_TEXT .. ' ' .. ARGV[3])
end
return 1
