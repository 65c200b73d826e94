-- limit, milliseconds -> ids of runs that have to be looked at. They are not handed out again for so long, unless
-- something happens to them: should whoever got them die, somebody else gets them then.
local due = redis.call('ZRANGEBYSCORE', KEY.workflow_due, '-inf', NOW_TEXT, 'LIMIT', 0, tonumber(ARGV[1]))
for _, id in ipairs(due) do redis.call('ZADD', KEY.workflow_due, int(NOW + tonumber(ARGV[2])), id) end
-- After a step back of the clock nothing waits as long as the step.
local late = redis.call('ZRANGEBYSCORE', KEY.workflow_due, int(NOW + 2 * tonumber(ARGV[2])), '+inf', 'LIMIT', 0, 100)
for _, id in ipairs(late) do redis.call('ZADD', KEY.workflow_due, NOW_TEXT, id) end
return due
