-- name, least milliseconds since it was heard of -> removed | live | unknown
local name = ARGV[1]
local is = heard(name)
if not is and redis.call('HEXISTS', KEY.workers, name) == 0 then return 'unknown' end
if is and (lives(is) or math.abs(NOW - is.at) < tonumber(ARGV[2])) then return 'live' end
for _, key in ipairs({KEY.workers, KEY.worker_beats, KEY.worker_admits}) do redis.call('HDEL', key, name) end
redis.call('HDEL', KEY.worker_wishes, name .. ':drain', name .. ':pause')
return 'removed'
