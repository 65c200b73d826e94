"""Every key of the records, with its type, owner and lifetime.

The Lua scripts get their names from here.

The records live on one server (with replicas or a sentinel, as you like). They do not fit a Redis Cluster:
one call changes a task together with the indexes of all tasks, and a cluster would need all of them in one
slot. An ACL needs `~penstock:*` and `&penstock:*`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from worker.model.status import Status
from worker.model.task import TASK_ID
from worker.store.errors import InvalidName

ROOT = "penstock:"


class Key(Struct, frozen=True):
    """A key, or with `<...>` in its name a family. `owner`: who writes it; `lifetime`: when it goes."""

    name: str
    type: str
    owner: str
    lifetime: str
    holds: str

    @property
    def prefix(self) -> str:
        """The name up to its first variable part."""
        return self.name.split("<", 1)[0]


TASK = Key(
    f"{ROOT}task:<task>",
    "hash",
    "register, claim, resolve, cancel, sweep",
    "until pruned",
    "the record of a task and its runs; fields: FIELDS, and one field per ended run, named by its number",
)
PAYLOAD = Key(
    f"{ROOT}payload:<task>",
    "string",
    "register, claim",
    "until the task is final",
    "the payload as it was sent",
)
BY_STATUS = Key(
    f"{ROOT}tasks:status:<status>",
    "sorted set",
    "register, claim, resolve, cancel, sweep",
    "a member until its task changes status or is pruned",
    "task ids by position",
)
BY_SCRIPT = Key(
    f"{ROOT}tasks:script:<script>:<status>",
    "sorted set",
    "register, claim, resolve, cancel, sweep",
    "a member until its task changes status or is pruned",
    "task ids of one script by position",
)
FINISHED = Key(
    f"{ROOT}tasks:finished:<script>",
    "sorted set",
    "claim, resolve, cancel, sweep",
    "a member until its task is pruned",
    "ids of final tasks of one script by the time they finished, in milliseconds",
)
FINISHED_SCRIPTS = Key(
    f"{ROOT}scripts:finished",
    "set",
    "claim, resolve, cancel, sweep",
    "a member until the last final task of that script is pruned",
    "names of scripts that have final tasks",
)
IDEMPOTENCY = Key(
    f"{ROOT}idempotency",
    "hash",
    "register, claim",
    "a field until its task is pruned",
    "for each script with an idempotency key (`script:key`) the id of its task",
)
LEASES = Key(
    f"{ROOT}leases",
    "sorted set",
    "claim, renew, resolve, sweep",
    "a member while its task runs",
    "task ids by the time when the lease of the running run passes, in milliseconds",
)
HINTS = Key(
    f"{ROOT}hints",
    "sorted set",
    "register, claim, resolve, sweep",
    "a member while its task is pending and does not wait for room",
    "task ids by the time when a message is to be published (again), in milliseconds",
)
DEADLINES = Key(
    f"{ROOT}deadlines",
    "sorted set",
    "register, claim, resolve, sweep",
    "a member until its task is final; only of tasks with a deadline or a latest start",
    "task ids by the time when a sweep is to end them, in milliseconds",
)
WAITING = Key(
    f"{ROOT}waiting:<script>",
    "sorted set",
    "claim, resolve, cancel, sweep",
    "a member until its task is claimed or final, or its message counts as lost",
    "ids of tasks that were throttled: first the most urgent and the oldest, last those that were handed out, by the "
    "time when their message counts as lost",
)
THROTTLED = Key(
    f"{ROOT}throttled",
    "hash",
    "claim, sweep",
    "a field while tasks of that script wait",
    "for each script with tasks that wait its limits: how many at a time, how many starts, in how many milliseconds",
)
STARTS = Key(
    f"{ROOT}starts:<script>",
    "list",
    "claim",
    "as long as the period of the rate limit after the last start; only of scripts with a rate limit",
    "when the newest runs started, newest first, in milliseconds, as many as the limit counts",
)
PARENTS = Key(
    f"{ROOT}parents:<script>",
    "set",
    "address, resolve, cancel, sweep",
    "a member until its task is final",
    "ids of running tasks of one script that stand for those of several workers, and run nothing themselves",
)
CLOCK = Key(
    f"{ROOT}clock",
    "string",
    "register, claim, the worker that finds a dead letter",
    "for ever",
    "the last position or fencing token given: microseconds since the epoch, always growing",
)
SWEPT = Key(
    f"{ROOT}swept",
    "string",
    "sweep",
    "for ever",
    "when the last sweep was, in milliseconds: by it the next one sees that the server's clock stepped",
)
EVENTS = Key(
    f"{ROOT}events",
    "stream",
    "register, claim, resolve, cancel, sweep",
    "the newest entries, about ten thousand",
    "every change of a record; in its one field: EVENT_FIELDS",
)
LOG = Key(
    f"{ROOT}log:<task>:<run>",
    "stream",
    "the worker that runs it; readers mark it; resolve, cancel and sweep end it",
    "a day after the last write, some minutes after the end of the run",
    "the live view of a log; fields: live_log_entry.py",
)

DEAD_LETTERS = Key(
    f"{ROOT}dead-letters",
    "sorted set",
    "the worker that finds one",
    "a member until its letter is replayed, dropped, or has to make room",
    "ids of letters by position",
)
DEAD_LETTER = Key(
    f"{ROOT}dead-letter:<id>",
    "hash",
    "the worker that finds it",
    "until it is replayed, dropped, or has to make room",
    "a message that could not become a task; fields: LETTER_FIELDS",
)
DEAD_LETTER_TOTALS = Key(
    f"{ROOT}dead-letters:totals",
    "hash",
    "the worker that finds one",
    "for ever",
    "`size`: bytes of all messages that are kept; `dropped`: how many had to make room, ever",
)

API_KEYS = Key(
    f"{ROOT}api-keys",
    "sorted set",
    "the API, `penstock keys`, `penstock up`",
    "a member for ever",
    "ids of all API keys by the time they were made, in milliseconds",
)
API_KEY = Key(
    f"{ROOT}api-key:<id>",
    "hash",
    "the API, `penstock keys`, `penstock up`",
    "for ever: what is revoked stays to be looked up",
    "an API key, by its SHA-256; fields: API_KEY_FIELDS",
)
SESSION = Key(
    f"{ROOT}session:<digest>",
    "string",
    "the API",
    "twelve hours, or until its browser logs out",
    "whose a session of the page is, as JSON, by the SHA-256 of the cookie",
)
AUDIT = Key(
    f"{ROOT}audit",
    "stream",
    "the API, commands of `penstock` that change something",
    "a bounded number of entries, the oldest go first",
    "what was done and by whom; fields: AUDIT_FIELDS",
)
AUDIT_REFUSED = Key(
    f"{ROOT}audit:refused",
    "stream",
    "the API, commands of `penstock` that change something",
    "a bounded number of entries, the oldest go first",
    "what was refused; apart, so that a flood of it pushes nothing else out; fields: AUDIT_FIELDS",
)

WEBHOOK_CURSOR = Key(
    f"{ROOT}webhooks:cursor",
    "string",
    "the API server that sends",
    "for ever",
    "the id of the last event of which the webhooks' deliveries are recorded",
)
WEBHOOK_SENDER = Key(
    f"{ROOT}webhooks:sender",
    "string",
    "the API server that sends",
    "15 seconds after the last renewal",
    "the lease of the one that sends",
)
WEBHOOK_DUE = Key(
    f"{ROOT}webhooks:due:<webhook>",
    "sorted set",
    "the API server that sends",
    "a member until it is delivered or given up",
    "`<task>:<run>` of ends that one webhook is to be told of, by the time of the next attempt, in milliseconds",
)
WEBHOOK_TRIED = Key(
    f"{ROOT}webhooks:tried:<webhook>",
    "hash",
    "the API server that sends",
    "as the member of the sorted set",
    "for each its attempts so far and when it was recorded, in milliseconds, as JSON",
)
WEBHOOK_TOTALS = Key(
    f"{ROOT}webhooks:totals",
    "hash",
    "the API server that sends",
    "for ever",
    "for each webhook how many ends it was told of (`<webhook>:sent`) and how many were given up (`<webhook>:failed`)",
)
SCHEDULES = Key(
    f"{ROOT}schedules",
    "hash",
    "the API, `penstock schedules`",
    "a field until its schedule is deleted",
    "for each schedule that is no file its declaration as JSON, with the principal that it acts as",
)
SCHEDULE = Key(
    f"{ROOT}schedule:<name>",
    "hash",
    "the API, `penstock schedules`, beats",
    "until the schedule is deleted; of a file, for ever",
    "how far a schedule has come; fields: SCHEDULE_FIELDS",
)
SCHEDULE_TASKS = Key(
    f"{ROOT}schedule-tasks:<name>",
    "sorted set",
    "beats, a trigger by hand",
    "the newest thousand",
    "ids of the tasks of a schedule by the time when they were submitted, in milliseconds",
)
SCHEDULE_RUNS = Key(
    f"{ROOT}schedule-runs:<name>",
    "sorted set",
    "beats, a trigger by hand",
    "the newest thousand",
    "ids of the workflow runs of a schedule by the time when they were started, in milliseconds",
)
SCHEDULE_CHANGES = Key(
    f"{ROOT}schedules:changes",
    "stream",
    "the API, `penstock schedules`",
    "the newest entries, about a hundred",
    "names of schedules that were changed, for beats that wait",
)
WORKFLOWS = Key(
    f"{ROOT}workflows",
    "hash",
    "the API",
    "a field until its workflow is deleted",
    "for each workflow that was made through the API its definition, as JSON",
)
WORKFLOW_RUN = Key(
    f"{ROOT}workflow-run:<run>",
    "hash",
    "whoever starts, advances or cancels it; resolve, cancel and sweep when the task of a step ends",
    "until pruned",
    "the record of a workflow run and its steps; fields: WORKFLOW_RUN_FIELDS",
)
WORKFLOW_RUNS = Key(
    f"{ROOT}workflow-runs",
    "sorted set",
    "whoever starts one",
    "a member until its run is pruned",
    "ids of workflow runs by position",
)
WORKFLOW_RUNS_OF = Key(
    f"{ROOT}workflow-runs:of:<workflow>",
    "sorted set",
    "whoever starts one",
    "a member until its run is pruned",
    "ids of the runs of one workflow by position",
)
WORKFLOW_DUE = Key(
    f"{ROOT}workflow-runs:due",
    "sorted set",
    "whoever starts, advances or cancels a run; claim, resolve, cancel and sweep when the task of a step ends",
    "a member while somebody has to look at its run",
    "ids of workflow runs by the time from which on they are to be advanced, in milliseconds",
)
WORKFLOW_FINISHED = Key(
    f"{ROOT}workflow-runs:finished",
    "sorted set",
    "whoever advances them",
    "a member until its run is pruned",
    "ids of workflow runs that have ended by the time of it, in milliseconds",
)
REGISTRY = Key(
    f"{ROOT}registry",
    "hash",
    "the API, `penstock scripts`",
    "for ever: what is removed stays to be looked up",
    "for each script that was ever registered its newest version, as in the key of all its versions",
)
REGISTRY_VERSION = Key(
    f"{ROOT}registry:version",
    "string",
    "the API, `penstock scripts`",
    "for ever",
    "counts the changes of registrations and approvals: by it everybody sees that there was one",
)
REGISTRATION = Key(
    f"{ROOT}registration:<script>",
    "hash",
    "the API, `penstock scripts`",
    "for ever",
    "every version of a registered script by its number: number, milliseconds, + or (removed) -, and JSON",
)
APPROVALS = Key(
    f"{ROOT}approvals:<script>",
    "hash",
    "the API, `penstock scripts approve`",
    "for ever",
    "signed approvals by their SHA-256; workers verify them",
)
REGISTRY_WORKERS = Key(
    f"{ROOT}registry:workers",
    "hash",
    "workers, every two seconds",
    "a field until its worker ends, or a day after it was killed",
    "for each worker when it said so, and which registered scripts it runs, or why not, as JSON",
)
WORKERS = Key(
    f"{ROOT}workers",
    "hash",
    "workers, when they start",
    "a field until its worker is removed, or was not heard of for the deployment's retention",
    "for each worker what it says of itself, as JSON",
)
WORKER_BEATS = Key(
    f"{ROOT}workers:beats",
    "hash",
    "workers, every few seconds",
    "as the field of the workers",
    "for each worker its process, when it was last heard of, how often it beats and when it began, in milliseconds, "
    "+ or (it has ended) -, and what runs, as JSON",
)
WORKER_ADMITS = Key(
    f"{ROOT}workers:admits",
    "hash",
    "workers, when that changes",
    "as the field of the workers",
    "for each worker the scripts that it runs with their digests, as JSON",
)
WORKER_WISHES = Key(
    f"{ROOT}workers:wishes",
    "hash",
    "the API, `penstock workers`",
    "a field until it is taken back or its worker is removed",
    "`<worker>:drain` and `<worker>:pause`: when that was asked for, in milliseconds, and by whom and why, as JSON",
)
WORKER_ASKS = Key(
    f"{ROOT}worker-asks:<worker>",
    "list",
    "the API, `penstock workers`",
    "until its worker takes it, or five seconds",
    "what a worker is asked about itself, as JSON: where the answer goes, and of how many lines",
)
WORKER_ANSWER = Key(
    f"{ROOT}worker-answer:<id>",
    "list",
    "the worker that was asked",
    "until whoever asked takes it, or 30 seconds",
    "the end of its log behind a +, or - when it keeps none",
)

# Of the broker, when that is Redis too; the queues themselves are kombu's lists, named by the queue.
IN_FLIGHT = Key(
    f"{ROOT}inflight:<consumer>:<queue>",
    "list",
    "the broker's consumer",
    "an element until its message is acknowledged",
    "messages that a consumer has taken from a queue",
)
CONSUMERS = Key(
    f"{ROOT}consumers",
    "sorted set",
    "the broker's consumers",
    "a member until its consumer ends or is taken for dead",
    "consumers by their last sign of life, in seconds",
)
CONSUMER_LISTS = Key(
    f"{ROOT}consumers:lists",
    "hash",
    "the broker's consumers",
    "as the member of the consumers",
    "for each consumer its in-flight list by queue, as JSON",
)

KEYS = (
    *(TASK, PAYLOAD, BY_STATUS, BY_SCRIPT, FINISHED, FINISHED_SCRIPTS, IDEMPOTENCY),
    *(LEASES, HINTS, DEADLINES, WAITING, THROTTLED, STARTS, PARENTS, CLOCK, SWEPT, EVENTS, LOG),
    *(DEAD_LETTERS, DEAD_LETTER, DEAD_LETTER_TOTALS),
    *(API_KEYS, API_KEY, SESSION, AUDIT, AUDIT_REFUSED),
    *(WEBHOOK_CURSOR, WEBHOOK_SENDER, WEBHOOK_DUE, WEBHOOK_TRIED, WEBHOOK_TOTALS),
    *(SCHEDULES, SCHEDULE, SCHEDULE_TASKS, SCHEDULE_RUNS, SCHEDULE_CHANGES),
    *(WORKFLOWS, WORKFLOW_RUN, WORKFLOW_RUNS, WORKFLOW_RUNS_OF, WORKFLOW_DUE, WORKFLOW_FINISHED),
    *(REGISTRY, REGISTRY_VERSION, REGISTRATION, APPROVALS, REGISTRY_WORKERS),
    *(WORKERS, WORKER_BEATS, WORKER_ADMITS, WORKER_WISHES, WORKER_ASKS, WORKER_ANSWER),
    *(IN_FLIGHT, CONSUMERS, CONSUMER_LISTS),
)

# The fields of a task's hash by the names that the code uses. Short, because every record carries them.
FIELDS = {
    "script": "c",
    "queue": "q",
    "digest": "h",
    "about": "m",  # JSON: trigger, tags, whether it is a dry run, who submitted it, from where, whose rerun it is
    "shown": "p",  # JSON: the payload with secrets masked
    "created": "a",  # milliseconds
    "position": "i",  # its place in every list
    "status": "s",
    "run": "n",  # the number of the newest run
    "retries": "r",
    "cancel": "x",  # JSON: who asked for the end, when and why
    "finished": "f",  # milliseconds
    "due": "d",  # milliseconds; the newest run is not to be claimed before
    # Only where they were given:
    "start_by": "u",  # milliseconds
    "deadline": "l",  # milliseconds
    "priority": "e",
    "key": "y",  # the idempotency key
    "workflow": "j",  # of a step: the workflow run, the step, the attempt, and the inputs as JSON; separated by blanks
    "target": "t",  # for whom it was submitted: a worker's name, labels separated by blanks, or _all
    "parent": "v",  # of a task that is for one worker: the id of the one that stands for it and others
    # Of one that stands for those of several workers:
    "children": "z",  # `worker=id of its task`, separated by blanks
    "left": "L",  # how many of them have not ended
    "good": "G",  # how many of them have completed
    # Of the newest run, while it has not ended. Run 0 was created with its task. Of a run that was claimed as its task
    # was made, the token is the position, and the time of the claim that of the creation; it has no fields for them.
    "run_created": "b",
    "worker": "w",
    "token": "k",
    "claim": "o",  # tells a repeated call of one claim from a second claim
    "claimed": "g",
}
# Of an ended run, in the JSON that the field with its number holds. "token" is 0 unless the run's worker
# ended it. Left out are a token that is the position of the task, a creation that is the task's (of run 0), a claim at
# the creation (where there is a worker), and an end that is the task's (of the last run of a final task).
RUN_FIELDS = {
    "token": "k",
    "created": "b",
    "claimed": "g",
    "finished": "f",
    "worker": "w",
    "status": "s",
    "reason": "r",
    "message": "m",
    "exit_code": "e",
    "signal": "t",
    "duration_ms": "d",
    "log_bytes": "l",
    "log_truncated": "c",
    "log": "o",  # of a run whose command wrote nothing: text, and index in hexadecimal
    "dry_run": "y",
    "artifacts": "a",  # lists of name, size, sha256, content type, public
    "result": "u",  # of a workflow's step: the JSON that its command reported, as text
}
LETTER_FIELDS = {
    "at": "a",  # milliseconds: when it was first received
    "last_at": "l",  # milliseconds: when it was last received
    "times": "n",
    "call": "c",  # of the last call that added it: tells a repeated call from a second one
    "position": "i",
    "queue": "q",
    "reason": "r",
    "source": "f",
    "size": "s",
    "head": "h",
    "raw": "b",
}
API_KEY_FIELDS = {
    "name": "n",
    "digest": "h",  # SHA-256 of the whole key, in hexadecimal
    "scopes": "s",  # separated by blanks
    "role": "r",
    "created": "a",  # milliseconds
    "expires": "e",  # milliseconds
    "revoked": "x",  # milliseconds
    "used": "u",  # milliseconds, rounded down
    "replaced_by": "b",
    "made_by": "w",
}
# Always all of them, in this order: a stream then stores their names once.
AUDIT_FIELDS = {
    "who": "w",
    "kind": "k",
    "key": "y",
    "from_": "f",
    "action": "a",
    "target": "t",
    "digest": "h",
    "result": "r",
    "status": "s",
    "detail": "d",
}
SCHEDULE_FIELDS = {
    "version": "v",
    "handled": "h",  # milliseconds
    "salt": "x",
    "timing": "t",  # SHA-256 of what says when it is due
    "waiting": "w",  # slots in milliseconds, separated by blanks
    "last_slot": "l",
    "last_task": "k",
    "skipped": "s",
    "missed": "m",
    "trouble": "r",
    "trouble_at": "a",
}
WORKFLOW_RUN_FIELDS = {
    "workflow": "w",
    "status": "s",
    "version": "v",  # grows with every change, and with every end of a step's task
    "definition": "d",  # JSON: the workflow as it was when the run was started
    "input": "p",  # JSON: the payload; until the run has ended
    "shown": "m",  # JSON: the payload with secrets masked
    "digest": "h",  # SHA-256 of workflow, definition and payload
    "steps": "e",  # JSON: the state of each step
    "who": "b",  # JSON: for whom the steps are started
    "trigger": "t",
    "created": "a",  # milliseconds
    "changed": "c",  # milliseconds
    "position": "i",  # its place in every list
    "finished": "f",  # milliseconds
    "cancel": "x",  # JSON: who asked for the end, when and why
    "rerun_of": "o",
}
# In this order, separated by blanks, in the one field EVENT of an entry: a field for each cost the store a tenth of
# what a task does. Only the last may have blanks itself. Entries of older versions have a field for each.
EVENT = "e"
EVENT_FIELDS = ("kind", "task", "script", "run", "status", "worker", "reason")

_SCRIPT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_WORKFLOW = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_WORKER = re.compile(r"[!-~]{1,200}\Z")
_KEY_CHARACTERS = 200


def task_key(task_id: str) -> str:
    return TASK.prefix + checked_id(task_id)


def schedule_key(name: str) -> str:
    return SCHEDULE.prefix + checked_schedule(name)


def schedule_tasks_key(name: str) -> str:
    return SCHEDULE_TASKS.prefix + checked_schedule(name)


def schedule_runs_key(name: str) -> str:
    return SCHEDULE_RUNS.prefix + checked_schedule(name)


def payload_key(task_id: str) -> str:
    return PAYLOAD.prefix + checked_id(task_id)


def status_key(status: Status) -> str:
    return BY_STATUS.prefix + status.value


def script_key(script: str, status: Status) -> str:
    return f"{BY_SCRIPT.prefix}{checked_script(script)}:{status.value}"


def log_key(task_id: str, run: int) -> str:
    return f"{LOG.prefix}{checked_id(task_id)}:{run:d}"


def workflow_run_key(run_id: str) -> str:
    return WORKFLOW_RUN.prefix + checked_id(run_id)


def checked_workflow(name: str) -> str:
    return _checked(_WORKFLOW, name, "name of a workflow")


def checked_id(task_id: str) -> str:
    """The same. Raises InvalidName for what is no task id; the message shows it escaped and shortened."""
    return _checked(TASK_ID, task_id, "task id")


@lru_cache(1024)
def checked_script(script: str) -> str:
    return _checked(_SCRIPT, script, "script name")


@lru_cache(1024)
def checked_worker(worker: str) -> str:
    return _checked(_WORKER, worker, "worker name")


def checked_schedule(name: str) -> str:
    return _checked(_SCRIPT, name, "schedule name")


def checked_key(key: str) -> str:
    """The same. Raises InvalidName for what is no idempotency key."""
    if 0 < len(key) <= _KEY_CHARACTERS and key.isprintable():
        return key
    raise InvalidName(f"not an idempotency key of 1 to {_KEY_CHARACTERS} printable characters: {key[:80]!a}")


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.match(text):
        return text
    raise InvalidName(f"not a {what}: {text[:80]!a}")
