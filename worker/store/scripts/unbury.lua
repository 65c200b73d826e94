-- limit, times or '', then ids, or none for the oldest -> how many were removed. One that came more often than `times`
-- was received again since it was read, and stays.
local limit, times, ids = tonumber(ARGV[1]), ARGV[2], {}
for at = 3, #ARGV do ids[#ids + 1] = ARGV[at] end
if #ids == 0 then ids = redis.call('ZRANGE', KEY.letters, 0, limit - 1) end
local removed = 0
for _, id in ipairs(ids) do
  local meant = times == '' or redis.call('HGET', KEY.letter .. id, LETTER.times) == times
  if meant and redis.call('ZREM', KEY.letters, id) == 1 then
    local size = tonumber(redis.call('HGET', KEY.letter .. id, LETTER.size) or '0')
    redis.call('UNLINK', KEY.letter .. id)
    redis.call('HINCRBY', KEY.letter_totals, 'size', int(0 - size))
    removed = removed + 1
  end
end
return removed
