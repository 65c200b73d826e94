-- id, 'revoked' or 'used', milliseconds that a use is rounded down to -> 1, or 0 for an unknown key.
-- The first time of a revocation stays.
local key = KEY.api_key .. ARGV[1]
if redis.call('EXISTS', key) == 0 then return 0 end
if ARGV[2] == 'revoked' then
  redis.call('HSETNX', key, AK.revoked, NOW_TEXT)
else
  redis.call('HSET', key, AK.used, int(NOW - NOW % tonumber(ARGV[3])))
end
return 1
