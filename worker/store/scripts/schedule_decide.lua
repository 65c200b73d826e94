-- name, version, handled, timing, waiting, skipped, missed -> the new version, or '' when it is another by now
local key = KEY.schedule .. ARGV[1]
if redis.call('HGET', key, SF.version) ~= ARGV[2] then return '' end
local version = tick()
redis.call('HSET', key, SF.version, version, SF.handled, ARGV[3], SF.timing, ARGV[4], SF.waiting, ARGV[5],
  SF.skipped, ARGV[6], SF.missed, ARGV[7])
return version
