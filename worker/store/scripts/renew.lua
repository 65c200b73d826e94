-- worker, lease ms, then for each claim: id, run, token -> for each: held 0 | 1, overdue 0 | 1, cancel or ''
local worker, lease = ARGV[1], tonumber(ARGV[2])
local answers = {}
for at = 3, #ARGV, 3 do
  local id, run, token = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local is = redis.call('HMGET', KEY.task .. id, F.status, F.run, F.token, F.worker, F.cancel, F.deadline,
    F.position)
  local held = is[1] == 'running' and is[2] == run and (is[3] or is[7]) == token and is[4] == worker
  if held then redis.call('ZADD', KEY.leases, int(NOW + lease), id) end
  answers[#answers + 1] = held and 1 or 0
  answers[#answers + 1] = held and is[6] and tonumber(is[6]) <= NOW and 1 or 0
  answers[#answers + 1] = held and is[5] or ''
end
return answers
