"""Every key and channel of the records, with its type, owner and lifetime.

The Lua scripts get their names from here.

The records live on one server (with replicas or a sentinel, as you like). They do not fit a Redis Cluster:
one call changes a task together with the indexes of all tasks, and a cluster would need all of them in one
slot. An ACL needs `~penstock:*` and `&penstock:*`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from worker.model.status import Status
from worker.model.task import TASK_ID
from worker.store.errors import InvalidName

ROOT = "penstock:"


@dataclass(frozen=True, slots=True)
class Key:
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
    f"{ROOT}tasks:finished",
    "sorted set",
    "resolve, cancel, sweep",
    "a member until its task is pruned",
    "ids of final tasks by the time they finished, in milliseconds",
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
    "register, resolve, sweep",
    "a member while its task is pending",
    "task ids by the time when a message is to be published (again), in milliseconds",
)
CLOCK = Key(
    f"{ROOT}clock",
    "string",
    "register, claim",
    "for ever",
    "the last position or fencing token given: microseconds since the epoch, always growing",
)
EVENTS = Key(
    f"{ROOT}events",
    "stream",
    "register, claim, resolve, cancel, sweep",
    "the newest entries, about ten thousand",
    "every change of a record; fields: EVENT_FIELDS",
)
LOG = Key(
    f"{ROOT}log:<task>:<run>",
    "stream",
    "the worker that runs it; readers mark it; resolve, cancel and sweep end it",
    "a day after the last write, some minutes after the end of the run",
    "the live view of a log; fields: live_log_entry.py",
)
CANCELS = Key(
    f"{ROOT}cancel:<worker>",
    "channel",
    "cancel",
    "nothing is kept",
    "`<run> <task>` of a run that is to be ended",
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
    *(TASK, PAYLOAD, BY_STATUS, BY_SCRIPT, FINISHED, LEASES, HINTS, CLOCK, EVENTS, LOG, CANCELS),
    *(IN_FLIGHT, CONSUMERS, CONSUMER_LISTS),
)

# The fields of a task's hash by the names that the code uses. Short, because every record carries them.
FIELDS = {
    "script": "c",
    "queue": "q",
    "digest": "h",
    "about": "m",  # JSON: trigger, tags and whether it is a dry run
    "shown": "p",  # JSON: the payload with secrets masked
    "created": "a",  # milliseconds
    "position": "i",  # its place in every list
    "status": "s",
    "run": "n",  # the number of the newest run
    "retries": "r",
    "cancel": "x",  # JSON: who asked for the end, when and why
    "finished": "f",  # milliseconds
    # Of the newest run, while it has not ended:
    "run_created": "b",
    "due": "d",  # milliseconds; not to be claimed before
    "worker": "w",
    "token": "k",
    "claim": "o",  # tells a repeated call of one claim from a second claim
    "claimed": "g",
}
# Of an ended run, in the JSON that the field with its number holds. "token" is 0 unless the run's worker
# ended it.
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
    "dry_run": "y",
    "artifacts": "a",  # lists of name, size, sha256, content type, public
}
EVENT_FIELDS = ("kind", "task", "script", "run", "status", "reason", "worker")

_SCRIPT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_WORKER = re.compile(r"[!-~]{1,200}\Z")


def task_key(task_id: str) -> str:
    return TASK.prefix + checked_id(task_id)


def payload_key(task_id: str) -> str:
    return PAYLOAD.prefix + checked_id(task_id)


def status_key(status: Status) -> str:
    return BY_STATUS.prefix + status.value


def script_key(script: str, status: Status) -> str:
    return f"{BY_SCRIPT.prefix}{checked_script(script)}:{status.value}"


def log_key(task_id: str, run: int) -> str:
    return f"{LOG.prefix}{checked_id(task_id)}:{run:d}"


def cancel_channel(worker: str) -> str:
    return CANCELS.prefix + checked_worker(worker)


def checked_id(task_id: str) -> str:
    """The same. Raises InvalidName for what is no task id; the message shows it escaped and shortened."""
    return _checked(TASK_ID, task_id, "task id")


def checked_script(script: str) -> str:
    return _checked(_SCRIPT, script, "script name")


def checked_worker(worker: str) -> str:
    return _checked(_WORKER, worker, "worker name")


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.match(text):
        return text
    raise InvalidName(f"not a {what}: {text[:80]!a}")
