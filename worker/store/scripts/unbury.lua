-- limit, then ids, or none for the oldest -> how many were removed
local limit, ids = tonumber(ARGV[1]), {}
for at = 2, #ARGV do ids[#ids + 1] = ARGV[at] end
if #ids == 0 then ids = redis.call('ZRANGE', KEY.letters, 0, limit - 1) end
local removed = 0
for _, id in ipairs(ids) do
  if redis.call('ZREM', KEY.letters, id) == 1 then
    local size = tonumber(redis.call('HGET', KEY.letter .. id, LETTER.size) or '0')
    redis.call('UNLINK', KEY.letter .. id)
    redis.call('HINCRBY', KEY.letter_totals, 'size', int(0 - size))
    removed = removed + 1
  end
end
return removed
