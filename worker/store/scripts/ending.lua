-- How the end of a run is written, in whichever script.

-- The field of an ended run. What is the same as elsewhere in the record is left out: the token that is the task's
-- position, the creation of run 0, a claim at the creation, and the time of the end where it is the task's.
-- `body` is the rest of a JSON object, without the opening brace: it is never decoded here, so that no number in it is
-- changed.
local function ended_run(run, token, position, created, claimed, worker, final, body)
  return '{' .. (token == position and '' or '"k":' .. token .. ',') .. (run == '0' and '' or '"b":' .. created .. ',')
    .. (final and '' or '"f":' .. NOW_TEXT .. ',') .. (claimed and claimed ~= created and '"g":' .. claimed .. ',' or '')
    .. (worker and '"w":' .. cjson.encode(worker) .. ',' or '') .. body
end

-- Only where somebody wrote or reads the live log. `live`: fields of an entry that is the whole of it.
local function end_log(id, run, status, kept_s, live)
  local log = KEY.log .. id .. ':' .. run
  if redis.call('EXISTS', log) == 0 then return end
  -- For who reads. It is refused where something was written already.
  if live then redis.pcall('XADD', log, '1-0', unpack(live)) end
  redis.call('XADD', log, '*', 'e', status)
  redis.call('EXPIRE', log, kept_s)
end
