-- name, when it begins, its timing, salt -> 1, or 0 when it has begun before. Of a file: those of the API begin when
-- they are made, and one that was deleted meanwhile shall not come back.
local key = KEY.schedule .. ARGV[1]
if redis.call('EXISTS', key) == 1 then return 0 end
redis.call('HSET', key, SF.version, tick(), SF.handled, ARGV[2], SF.timing, ARGV[3], SF.salt, ARGV[4])
return 1
