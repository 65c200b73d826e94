-- id, request (rest of a JSON object) -> {requested | already | final | unknown, status}
local id = ARGV[1]
local key = KEY.workflow_run .. id
local is = redis.call('HMGET', key, WF.status, WF.finished, WF.cancel)
if not is[1] then return {'unknown', ''} end
if is[2] then return {'final', is[1]} end
if is[3] then return {'already', is[1]} end
redis.call('HSET', key, WF.cancel, '{"at":' .. NOW_TEXT .. ',' .. ARGV[2])
redis.call('HINCRBY', key, WF.version, 1)
redis.call('ZADD', KEY.workflow_due, NOW_TEXT, id)
return {'requested', is[1]}
