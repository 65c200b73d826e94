-- What the scripts that change tasks have in common. Stands behind clock.lua and ending.lua.

-- The fields of a task that the scripts work with; `script` is false when there is no such task. Run 0 was created with its
-- task; a run with a worker, but without a token and the time of its claim, was made and claimed in one.
local function read(id)
  local is = redis.call('HMGET', KEY.task .. id, F.script, F.queue, F.digest, F.about, F.created, F.position,
    F.status, F.run, F.retries, F.cancel, F.run_created, F.due, F.worker, F.token, F.claim, F.claimed,
    F.start_by, F.deadline, F.priority, F.workflow)
  return {
    id = id, script = is[1], queue = is[2], digest = is[3], about = is[4], created = is[5], position = is[6],
    status = is[7], run = is[8], retries = is[9], cancel = is[10], run_created = is[11] or is[5], due = is[12],
    worker = is[13], token = is[14] or is[13] and is[6], claim = is[15], claimed = is[16] or is[13] and is[5],
    start_by = is[17], deadline = is[18], priority = is[19], workflow = is[20],
  }
end

-- The worker whose alone the task is, by its queue; false when any may run it.
local function addressee(task)
  return string.sub(task.queue, 1, OWN.length) == OWN.prefix and string.sub(task.queue, OWN.length + 1)
end

local function list(task, status)
  redis.call('ZADD', KEY.by_status .. status, task.position, task.id)
  redis.call('ZADD', KEY.by_script .. task.script .. ':' .. status, task.position, task.id)
end

local function unlist(task, status)
  redis.call('ZREM', KEY.by_status .. status, task.id)
  redis.call('ZREM', KEY.by_script .. task.script .. ':' .. status, task.id)
end

local function relist(task, status)
  unlist(task, task.status)
  list(task, status)
end

local function event(kind, task, run, status, reason, worker)
  redis.call('XADD', KEY.events, 'MAXLEN', '~', LIMIT.events_kept, '*', 'e', kind .. ' ' .. task.id .. ' ' .. task.script
    .. ' ' .. run .. ' ' .. status .. ' ' .. (worker or '') .. ' ' .. (reason or ''))
end

-- What a publisher needs of a pending run that has waited so long for its claim; 0 when it had no message yet.
local function hinted(task, run, waited)
  return {task.id, task.script, task.queue, run, task.priority or '0', waited}
end

local function hint(task, at)
  redis.call('ZADD', KEY.hints, int(at), task.id)
end

-- When the newest run must have started, or nil.
local function start_limit(task)
  local start_by, deadline = tonumber(task.start_by), tonumber(task.deadline)
  if start_by and deadline then return math.min(start_by, deadline) end
  return start_by or deadline
end

-- When a sweep is to end a task with that status, or nil. Its worker ends a running one itself, if it can.
local function overdue_at(task, status)
  if status == 'pending' then return start_limit(task) end
  return status == 'running' and task.deadline and tonumber(task.deadline) + LIMIT.overdue_ms or nil
end

-- How a task ends whose time is over: reason and body.
local function time_over(task)
  if addressee(task) then return 'no-answer', task.worker and BODY.silent or BODY.no_answer end
  return 'deadline-exceeded', task.worker and BODY.overdue or BODY.not_started
end

local function watch(task, status)
  if not (task.start_by or task.deadline) then return end
  local at = overdue_at(task, status)
  if at then
    redis.call('ZADD', KEY.deadlines, int(at), task.id)
  else
    redis.call('ZREM', KEY.deadlines, task.id)
  end
end

-- The task that the arguments from there on ask for. The last five, and the one behind them, are left
-- out where none of them is given.
local function asked(at)
  local function given(argument) return ARGV[argument] ~= '' and ARGV[argument] end
  return {
    script = ARGV[at], queue = ARGV[at + 1], digest = ARGV[at + 2], about = ARGV[at + 3], shown = ARGV[at + 4],
    retries = ARGV[at + 5], payload = ARGV[at + 6], due = given(at + 7), start_by = given(at + 8),
    deadline = given(at + 9), priority = given(at + 10), key = given(at + 11),
    workflow = given(at + 12),
  }
end

local function same(task, new)
  return task.script == new.script and task.digest == new.digest
end

-- Each script has keys of its own: who may run one learns nothing of the others. No name of a script has a colon.
local function key_of(script, key)
  return script .. ':' .. key
end

-- The task that has the idempotency key of a new one, or nil.
local function namesake(new)
  local id = new.key and redis.call('HGET', KEY.idempotency, key_of(new.script, new.key))
  local task = id and read(id)
  return task and task.script and task or nil
end

-- Make the record and its pending run 0, and return it. The caller has seen that there is none. With `at_once`, worker
-- and claim, its run is running, and is listed nowhere: that is the caller's. Its position is its token, which no other
-- can have. Without these two it is the caller's to say what the task is.
local function register(id, new, at_once)
  local position = tick()
  local task = {
    id = id, script = new.script, queue = new.queue, digest = new.digest, about = new.about,
    created = NOW_TEXT, position = position, status = 'pending', run = '0', retries = new.retries,
    run_created = NOW_TEXT, cancel = false, due = new.due and tonumber(new.due) > NOW and new.due, worker = false,
    token = false, claim = false, claimed = false, start_by = new.start_by, deadline = new.deadline,
    priority = new.priority, workflow = new.workflow,
  }
  local key = KEY.task .. id
  local state = {'pending'}
  if at_once and at_once.worker then
    task.token = position
    state = {'running', F.worker, at_once.worker, F.claim, at_once.claim}
  end
  redis.call('HSET', key, F.script, task.script, F.queue, task.queue, F.digest, task.digest,
    F.about, task.about, F.shown, new.shown, F.created, task.created, F.position, position,
    F.run, '0', F.retries, task.retries, F.status, unpack(state))
  if task.due then redis.call('HSET', key, F.due, task.due) end
  if task.start_by then redis.call('HSET', key, F.start_by, task.start_by) end
  if task.deadline then redis.call('HSET', key, F.deadline, task.deadline) end
  if task.priority then redis.call('HSET', key, F.priority, task.priority) end
  if task.workflow then redis.call('HSET', key, F.workflow, task.workflow) end
  if new.key then
    redis.call('HSET', key, F.key, new.key)
    redis.call('HSET', KEY.idempotency, key_of(new.script, new.key), id)
  end
  redis.call('SET', KEY.payload .. id, new.payload)
  if not at_once then
    list(task, 'pending')
    hint(task, tonumber(task.due) or NOW + LIMIT.hint_ms)
    watch(task, 'pending')
  end
  event('registered', task, '0', 'pending')
  return task
end

-- The pending run after `task.run`, which has just ended. Due in `delay` milliseconds.
local function follow(task, delay)
  local run = int(tonumber(task.run) + 1)
  local key = KEY.task .. task.id
  redis.call('HDEL', key, F.worker, F.token, F.claim, F.claimed, F.due)
  redis.call('HSET', key, F.status, 'pending', F.run, run, F.run_created, NOW_TEXT,
    F.retries, int(math.max(0, tonumber(task.retries) - 1)))
  if delay > 0 then
    redis.call('HSET', key, F.due, int(NOW + delay))
    hint(task, NOW + delay)
  else
    hint(task, NOW + LIMIT.hint_ms)
  end
  relist(task, 'pending')
  watch(task, 'pending')
  event('registered', task, run, 'pending')
  return run
end

-- The run of a workflow has to be looked at: the task of one of its steps has ended. Whoever read the run before that
-- has an old version of it. As it is written here, together with the end itself, no crash can lose it.
local function wake(task)
  local id = string.match(task.workflow, '^[^ ]+')
  if redis.call('HEXISTS', KEY.workflow_run .. id, WF.version) == 0 then return end
  redis.call('HINCRBY', KEY.workflow_run .. id, WF.version, 1)
  redis.call('ZADD', KEY.workflow_due, NOW_TEXT, id)
end

-- A task that stands for those of several workers ends with the last of them: written together with that end, so that
-- no crash can lose it. Those that completed are counted.
local close
local function settle(task, status)
  local id = redis.call('HGET', KEY.task .. task.id, F.parent)
  local parent = id and read(id)
  if not parent or parent.status ~= 'running' then return end
  if status == 'completed' then redis.call('HINCRBY', KEY.task .. id, F.good, 1) end
  if redis.call('HINCRBY', KEY.task .. id, F.left, -1) > 0 then return end
  redis.call('SREM', KEY.parents .. parent.script, id)
  local is = redis.call('HMGET', KEY.task .. id, F.good, F.children)
  local good, all = tonumber(is[1]), select(2, string.gsub(is[2], '=', ''))
  local took = int(NOW - tonumber(parent.created))
  if good == all then
    close('resolved', parent, '0', 'completed', '', string.format(BODY.all_completed, took), false, 0)
    return
  end
  local came, reason = 'failed', 'all-failed'
  if good > 0 then
    came, reason = 'partial', 'some-failed'
  elseif parent.cancel then
    came, reason = 'cancelled', 'cancelled'
  end
  close('resolved', parent, '0', came, reason, string.format(BODY.not_all, came, reason, good, all, took), false, 0)
end

local function finish(task, status, ended)
  local key = KEY.task .. task.id
  redis.call('HDEL', key, F.run_created, F.worker, F.token, F.claim, F.claimed, F.due)
  redis.call('HSET', key, task.run, ended, F.status, status, F.finished, NOW_TEXT)
  redis.call('UNLINK', KEY.payload .. task.id)
  if not task.worker then
    redis.call('ZREM', KEY.hints, task.id)
    redis.call('ZREM', KEY.waiting .. task.script, task.id)
  end
  watch(task, status)
  redis.call('ZADD', KEY.finished .. task.script, NOW_TEXT, task.id)
  redis.call('SADD', KEY.finished_scripts, task.script)
  relist(task, status)
  if task.workflow then wake(task) end
  if addressee(task) then settle(task, status) end
end

-- End the newest run. `token` is 0 unless its worker does it. `body` is the rest of a JSON object, without the
-- opening brace: it is never decoded here, so that no number in it is changed. Then either the next run is made
-- (and its number returned), or the task is final; it is, too, when the next run could not start in time. `live`: fields
-- of an entry that is the whole live log.
function close(kind, task, token, status, reason, body, more, delay, live)
  local limit = more and start_limit(task)
  local again = more and not (limit and limit <= NOW + delay)
  local ended = ended_run(task.run, token, task.position, task.run_created, task.worker and task.claimed, task.worker,
    not again, body)
  -- First, because it needs no memory: a server that is full refuses what needs some unless the script has begun to write,
  -- and an end gives back more than it takes.
  redis.call('ZREM', KEY.leases, task.id)
  event(kind, task, task.run, status, reason, task.worker)
  end_log(task.id, task.run, status, addressee(task) and LIMIT.sent_log_kept_s or LIMIT.log_kept_s, live)
  if again then
    redis.call('HSET', KEY.task .. task.id, task.run, ended)
    return follow(task, delay)
  end
  finish(task, status, ended)
  return false
end
