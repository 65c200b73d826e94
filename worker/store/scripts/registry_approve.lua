-- name, number of its newest version, SHA-256 of the approval, approval, most that are kept -> done | unknown | full
local name = ARGV[1]
local last = redis.call('HGET', KEY.registry, name)
if not last or string.match(last, '^(%d+):') ~= ARGV[2] then return 'unknown' end
local key = KEY.approvals .. name
if redis.call('HEXISTS', key, ARGV[3]) == 0 and redis.call('HLEN', key) >= tonumber(ARGV[5]) then return 'full' end
redis.call('HSET', key, ARGV[3], ARGV[4])
redis.call('INCR', KEY.registry_version)
return 'done'
