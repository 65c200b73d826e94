-- In front of claim.lua: a task that is not there yet, without limits and times, is made and started in one. So begin most
-- tasks of a Celery producer. What it writes is what register() and claim.lua write.
if ARGV[7] and not ARGV[14] and ARGV[5] == '' and (ARGV[6] == '' or ARGV[6] == ARGV[7])
  and string.find(ARGV[8], OWN.prefix, 1, true) ~= 1 then
  local id, worker, script, queue, about, retries = ARGV[1], ARGV[2], ARGV[7], ARGV[8], ARGV[10], ARGV[12]
  local passes = NOW + ARGV[4]
  local key = KEY.task .. id
  if redis.call('HEXISTS', key, F.script) == 0 then
    -- Its position is its token, which no other can have.
    local token = tick()
    redis.call('HSET', key, F.script, script, F.queue, queue, F.digest, ARGV[9], F.about, about, F.shown, ARGV[11],
      F.created, NOW_TEXT, F.position, token, F.run, '0', F.retries, retries, F.status, 'running', F.worker, worker,
      F.claim, ARGV[3])
    redis.call('SET', KEY.payload .. id, ARGV[13])
    -- Without a bound: the next one has it.
    redis.call('XADD', KEY.events, '*', 'e', 'registered ' .. id .. ' ' .. script .. ' 0 pending  ')
    redis.call('ZADD', KEY.leases, passes, id)
    redis.call('ZADD', KEY.running, token, id)
    redis.call('ZADD', KEY.by_script .. script .. ':running', token, id)
    redis.call('XADD', KEY.events, 'MAXLEN', '~', LIMIT.events_kept, '*', 'e',
      'claimed ' .. id .. ' ' .. script .. ' 0 running ' .. worker .. ' ')
    return {'granted', '0', token, ARGV[13], script, queue, retries, about, NOW_TEXT, NOW, '', '', ''}
  end
end
