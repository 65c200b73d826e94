-- name, 'create' | 'update' | 'remove', text -> {done | there | unknown, version, now}
-- A version is kept as `<number>:<milliseconds>:<+ or, removed, ->:<text>`.
local name, mode = ARGV[1], ARGV[2]
local last = redis.call('HGET', KEY.registry, name)
local number, live = 0, false
if last then
  number = tonumber(string.match(last, '^(%d+):'))
  live = string.match(last, '^%d+:%d+:(.)') == '+'
end
if mode == 'create' and live then return {'there', number, NOW} end
if mode ~= 'create' and not live then return {'unknown', number, NOW} end
number = number + 1
local value = int(number) .. ':' .. NOW_TEXT .. ':' .. (mode == 'remove' and '-' or '+') .. ':' .. ARGV[3]
redis.call('HSET', KEY.registry, name, value)
redis.call('HSET', KEY.registration .. name, int(number), value)
redis.call('INCR', KEY.registry_version)
return {'done', number, NOW}
