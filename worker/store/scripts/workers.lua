-- For the scripts about workers. A beat is: process, last heard of, how often it beats, began, + or -, and what runs.
local function heard(name)
  local is = redis.call('HGET', KEY.worker_beats, name)
  if not is then return nil end
  local instance, at, beat, began, there, pulse = string.match(is, '^(%S+) (%d+) (%d+) (%d+) ([+-]) (.*)$')
  return instance and {instance = instance, at = tonumber(at), beat = tonumber(beat), began = began, there = there,
    pulse = pulse}
end

-- The model says the same: model/worker.py.
local function lives(is)
  return is.there == '+' and math.abs(NOW - is.at) <= 2 * is.beat
end

local function beat(name, instance, every, began, there, pulse)
  redis.call('HSET', KEY.worker_beats, name,
    instance .. ' ' .. NOW_TEXT .. ' ' .. every .. ' ' .. began .. ' ' .. there .. ' ' .. pulse)
end

local function wishes(name)
  return redis.call('HMGET', KEY.worker_wishes, name .. ':drain', name .. ':pause')
end
