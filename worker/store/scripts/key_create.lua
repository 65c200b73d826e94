-- id, digest, name, scopes, role or '', milliseconds to live or '', made by, 'first' or '', id to replace or '',
-- milliseconds that the replaced one still works -> {created | taken | there | gone, now}
local id = ARGV[1]
local old = ARGV[9]
if redis.call('EXISTS', KEY.api_key .. id) == 1 then return {'taken', NOW} end
if ARGV[8] == 'first' and redis.call('ZCARD', KEY.api_keys) > 0 then return {'there', NOW} end
local name, scopes, role, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if old ~= '' then
  local key = KEY.api_key .. old
  local is = redis.call('HMGET', key, AK.name, AK.scopes, AK.role, AK.created, AK.expires, AK.revoked, AK.replaced_by)
  local expired = is[5] and tonumber(is[5]) <= NOW
  if not is[1] or is[6] or is[7] or expired then return {'gone', NOW} end
  name, scopes, role = is[1], is[2] or '', is[3] or ''
  -- Without a time of its own the new one lives as long as the old one was meant to.
  if ttl == '' and is[5] then ttl = int(tonumber(is[5]) - tonumber(is[4])) end
  local last = NOW + tonumber(ARGV[10])
  if is[5] and tonumber(is[5]) < last then last = tonumber(is[5]) end
  redis.call('HSET', key, AK.expires, int(last), AK.replaced_by, id)
end
redis.call('HSET', KEY.api_key .. id, AK.digest, ARGV[2], AK.name, name, AK.scopes, scopes, AK.created, NOW_TEXT,
  AK.made_by, ARGV[7])
if role ~= '' then redis.call('HSET', KEY.api_key .. id, AK.role, role) end
if ttl ~= '' then redis.call('HSET', KEY.api_key .. id, AK.expires, int(NOW + tonumber(ttl))) end
redis.call('ZADD', KEY.api_keys, NOW_TEXT, id)
return {'created', NOW}
