-- id, call, queue, reason, source, size, head, raw
local id, call, size = ARGV[1], ARGV[2], tonumber(ARGV[6])
local key = KEY.letter .. id
local last = redis.call('HGET', key, LETTER.call)
-- The same call again, after its answer was lost on the way.
if last == call then return end
if last then
  redis.call('HSET', key, LETTER.call, call, LETTER.last_at, NOW_TEXT, LETTER.reason, ARGV[4], LETTER.source, ARGV[5])
  redis.call('HINCRBY', key, LETTER.times, 1)
  return
end
local position = tick()
redis.call('HSET', key, LETTER.at, NOW_TEXT, LETTER.last_at, NOW_TEXT, LETTER.times, 1, LETTER.call, call,
  LETTER.position, position, LETTER.queue, ARGV[3], LETTER.reason, ARGV[4], LETTER.source, ARGV[5],
  LETTER.size, int(size), LETTER.head, ARGV[7], LETTER.raw, ARGV[8])
redis.call('ZADD', KEY.letters, position, id)
local kept = redis.call('HINCRBY', KEY.letter_totals, 'size', int(size))
local count = redis.call('ZCARD', KEY.letters)
while count > 1 and (count > LIMIT.letters or kept > LIMIT.letter_bytes) do
  local oldest = redis.call('ZRANGE', KEY.letters, 0, 0)[1]
  local freed = tonumber(redis.call('HGET', KEY.letter .. oldest, LETTER.size) or '0')
  redis.call('UNLINK', KEY.letter .. oldest)
  redis.call('ZREM', KEY.letters, oldest)
  kept = redis.call('HINCRBY', KEY.letter_totals, 'size', int(0 - freed))
  redis.call('HINCRBY', KEY.letter_totals, 'dropped', 1)
  count = count - 1
end
