-- name, document as JSON, who, version that it must have or '' for any, create 0 | 1, how many there may be
--   -> {saved, version} | {there} | {unknown} | {stale, version} | {full}
local name, who = ARGV[1], ARGV[3]
local kept = redis.call('HGET', KEY.workflows, name)
local version, created, by = 0, NOW_TEXT, cjson.encode(who)
if kept then
  if ARGV[5] == '1' then return {'there'} end
  -- Not decoded: no number of the document may change, nor a list that is empty become an object.
  version, created, by = string.match(kept, '^{"v":(%d+),"a":(%d+),"b":(".-"),"u":%d')
  if ARGV[4] ~= '' and ARGV[4] ~= version then return {'stale', version} end
elseif ARGV[5] == '0' then
  return {'unknown'}
elseif redis.call('HLEN', KEY.workflows) >= tonumber(ARGV[6]) then
  return {'full'}
end
version = int(tonumber(version) + 1)
redis.call('HSET', KEY.workflows, name, '{"v":' .. version .. ',"a":' .. created .. ',"b":' .. by .. ',"u":' ..
  NOW_TEXT .. ',"w":' .. cjson.encode(who) .. ',"d":' .. ARGV[2] .. '}')
return {'saved', version}
