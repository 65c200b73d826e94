-- In front of resolve.lua: the worker's end of a run after which there is no other, of a task that nothing else hangs on.
-- So end most. What it writes is what close() writes.
if ARGV[7] == '0' and ARGV[9] == '0' and final(ARGV[4]) and allowed('running', ARGV[4]) then
  local id, run, token, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
  local key = KEY.task .. id
  local is = redis.call('HMGET', key, F.status, F.run, F.token, F.script, F.position, F.run_created, F.claimed, F.worker,
    F.queue, F.workflow, F.start_by, F.deadline)
  if is[1] == 'running' and is[2] == run and (is[3] or is[5]) == token and is[8] and not (is[10] or is[11] or is[12])
    and string.find(is[9], OWN.prefix, 1, true) ~= 1 then
    local script, position, worker = is[4], is[5], is[8]
    local running = KEY.by_script .. script .. ':running'
    local ended = ended_run(run, token, position, is[6], is[7], worker, true, ARGV[6])
    -- First, as in close(): it needs no memory.
    redis.call('ZREM', KEY.leases, id)
    -- Without a bound: the event of its claim had it.
    redis.call('XADD', KEY.events, '*', 'e',
      'resolved ' .. id .. ' ' .. script .. ' ' .. run .. ' ' .. status .. ' ' .. worker .. ' ' .. ARGV[5])
    end_log(id, run, status, LIMIT.log_kept_s, ARGV[10] and {unpack(ARGV, 10)})
    if is[3] then
      redis.call('HDEL', key, F.run_created, F.worker, F.token, F.claim, F.claimed, F.due)
    else -- as at_once.lua made it
      redis.call('HDEL', key, F.worker, F.claim)
    end
    redis.call('HSET', key, run, ended, F.status, status, F.finished, NOW_TEXT)
    redis.call('UNLINK', KEY.payload .. id)
    redis.call('ZADD', KEY.finished .. script, NOW_TEXT, id)
    redis.call('SADD', KEY.finished_scripts, script)
    redis.call('ZREM', KEY.running, id)
    redis.call('ZREM', running, id)
    redis.call('ZADD', KEY.by_status .. status, position, id)
    redis.call('ZADD', KEY.by_script .. script .. ':' .. status, position, id)
    return {'recorded', '', {}}
  end
end
