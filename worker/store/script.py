"""Script: one atomic call of the store, written in Lua, sent by its digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from worker.model.status import FINAL, TRANSITIONS, Status
from worker.model.target import QUEUE_PREFIX
from worker.model.task import Resolution
from worker.store.encoding import run_body
from worker.store.errors import store_error
from worker.store.keys import (
    API_KEY,
    API_KEY_FIELDS,
    API_KEYS,
    APPROVALS,
    BY_SCRIPT,
    BY_STATUS,
    CLOCK,
    DEAD_LETTER,
    DEAD_LETTER_TOTALS,
    DEAD_LETTERS,
    DEADLINES,
    EVENTS,
    FIELDS,
    FINISHED,
    FINISHED_SCRIPTS,
    HINTS,
    IDEMPOTENCY,
    LEASES,
    LETTER_FIELDS,
    LOG,
    PARENTS,
    PAYLOAD,
    REGISTRATION,
    REGISTRY,
    REGISTRY_VERSION,
    RUN_FIELDS,
    SCHEDULE,
    SCHEDULE_CHANGES,
    SCHEDULE_FIELDS,
    SCHEDULE_RUNS,
    SCHEDULE_TASKS,
    SCHEDULES,
    STARTS,
    SWEPT,
    TASK,
    THROTTLED,
    WAITING,
    WORKER_ADMITS,
    WORKER_BEATS,
    WORKER_WISHES,
    WORKERS,
    WORKFLOW_DUE,
    WORKFLOW_FINISHED,
    WORKFLOW_RUN,
    WORKFLOW_RUN_FIELDS,
    WORKFLOW_RUNS,
    WORKFLOW_RUNS_OF,
    WORKFLOWS,
)

Argument = str | bytes | int
# A message is given up for lost ever more slowly, but not slower than this many times `hint_after_s`.
_HINT_MOST = 20
# The task of a workflow's step is published once more when nobody has claimed it for so long.
_STEP_HINT_MS = 3_000
# Workers sweep every two seconds: after so long without a sweep the clock stepped forward, or nobody was there.
_UNSWEPT_MS = 10_000
# A step back of the clock that is smaller than this is waited for: a lease that was given after it looks the same.
_BACK_MS = 60_000
# So many notes of lost messages are moved with a step back, which holds up the store for some tens of milliseconds.
_HINTS_MOVED = 10_000

_KEYS = {
    "task": TASK,
    "payload": PAYLOAD,
    "by_status": BY_STATUS,
    "by_script": BY_SCRIPT,
    "finished": FINISHED,
    "finished_scripts": FINISHED_SCRIPTS,
    "idempotency": IDEMPOTENCY,
    "leases": LEASES,
    "hints": HINTS,
    "deadlines": DEADLINES,
    "waiting": WAITING,
    "throttled": THROTTLED,
    "starts": STARTS,
    "parents": PARENTS,
    "clock": CLOCK,
    "swept": SWEPT,
    "events": EVENTS,
    "log": LOG,
    "letters": DEAD_LETTERS,
    "letter": DEAD_LETTER,
    "letter_totals": DEAD_LETTER_TOTALS,
    "api_keys": API_KEYS,
    "api_key": API_KEY,
    "schedules": SCHEDULES,
    "schedule": SCHEDULE,
    "schedule_tasks": SCHEDULE_TASKS,
    "schedule_runs": SCHEDULE_RUNS,
    "schedule_changes": SCHEDULE_CHANGES,
    "workflows": WORKFLOWS,
    "workflow_run": WORKFLOW_RUN,
    "workflow_runs": WORKFLOW_RUNS,
    "workflow_runs_of": WORKFLOW_RUNS_OF,
    "workflow_due": WORKFLOW_DUE,
    "workflow_finished": WORKFLOW_FINISHED,
    "registry": REGISTRY,
    "registry_version": REGISTRY_VERSION,
    "registration": REGISTRATION,
    "approvals": APPROVALS,
    "workers": WORKERS,
    "worker_beats": WORKER_BEATS,
    "worker_admits": WORKER_ADMITS,
    "worker_wishes": WORKER_WISHES,
}
# How the store ends runs by itself.
_BODIES = {
    "expired": Resolution(Status.EXCEPTION, "claim-expired", "the worker did not renew its claim in time"),
    "not_started": Resolution(Status.EXCEPTION, "deadline-exceeded", "it had not started when its time was over"),
    "no_answer": Resolution(Status.EXCEPTION, "no-answer", "the worker that it is for did not begin it in time"),
    "silent": Resolution(Status.EXCEPTION, "no-answer", "its time was over, and the worker that it is for was silent"),
    "overdue": Resolution(Status.EXCEPTION, "deadline-exceeded", "its time was over, and its worker did not end it"),
    "cancelled": Resolution(Status.CANCELLED, "cancelled", "cancelled; the worker was gone before it could confirm"),
}
# How a task ends that stands for those of several workers: milliseconds, or status, reason, how many completed, of how
# many, milliseconds.
_ALL_COMPLETED = f'"{RUN_FIELDS["status"]}":"completed","{RUN_FIELDS["duration_ms"]}":%s}}'
_NOT_ALL = (
    f'"{RUN_FIELDS["status"]}":"%s","{RUN_FIELDS["reason"]}":"%s",'
    f'"{RUN_FIELDS["message"]}":"%d of %d workers completed it","{RUN_FIELDS["duration_ms"]}":%s}}'
)
_PLACE = re.compile(r"\b(KEY|F|OWN|WF|LETTER|AK|SF|LIMIT|BODY)\.(\w+)")
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)


class StoreLimits(Struct, frozen=True):
    """What the scripts are built with.

    `events_kept`: about how many events stay. `log_kept_s`: how long a live log stays after its run,
    and `sent_log_kept_s` that of a task for one worker.
    `hint_after_s`: how long a pending run waits for its claim before a sweep hands it out to be published
    again; the longer it has waited, the longer until the next time, up to twenty times that. `overdue_s`: how long
    after a deadline a worker may take to end the run itself. `letters` and `letter_bytes`: how many dead letters are
    kept, and how much in all; the newest is kept in any case.
    """

    events_kept: int = 10_000
    log_kept_s: int = 300
    sent_log_kept_s: int = 24 * 3600
    hint_after_s: float = 30.0
    overdue_s: float = 5.0
    letters: int = 10_000
    letter_bytes: int = 256 * 1024 * 1024


# Before those that change tasks.
STATUS = "status"
TASKS = (STATUS, "ending", "tasks")


class Script:
    """The file `scripts/<name>.lua` behind the clock and the parts that it needs, in their order.

    Each part is a file there, but STATUS: that is the transition table.
    """

    def __init__(self, redis: Redis, name: str, limits: StoreLimits, *needs: str) -> None:
        # Below evalsha(), which converts nothing that a script answers and costs more.
        self._send: Callable[..., Awaitable[Any]] = redis.execute_command
        self._text = _filled("".join(_source(part) for part in ("clock", *needs, name)), limits)
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, *arguments: Argument) -> Any:
        """Run it: one round trip, two when the server does not know it yet. Raises StoreError."""
        try:
            try:
                return await self._send("EVALSHA", self._digest, 0, *arguments)
            except NoScriptError:
                return await self._send("EVAL", self._text, 0, *arguments)
        except (RedisError, OSError) as error:
            raise store_error(error) from error


@cache
def _source(name: str) -> str:
    if name == STATUS:
        return _status()
    return files("worker.store").joinpath("scripts", f"{name}.lua").read_text(encoding="utf-8")


def _status() -> str:
    """The transition table as Lua, so that there is one of it. Comparisons: a table would be built at every call."""

    def is_one(name: str, statuses: Iterable[Status]) -> str:
        return "(" + " or ".join(f"{name} == '{status.value}'" for status in sorted(statuses)) + ")"

    allowed = " or ".join(
        f"(from == '{status.value}' and {is_one('to', after)})"
        for status, after in sorted(TRANSITIONS.items())
        if after
    )
    return (
        f"local function final(status) return {is_one('status', FINAL)} end\n"
        f"local function allowed(from, to) return {allowed} end\n"
    )


def _filled(text: str, limits: StoreLimits) -> str:
    """The text with the names of keys and fields and the limits in their places.

    An unknown one is a KeyError.
    """
    values = {
        "KEY": {
            **{name: f"'{key.prefix}'" for name, key in _KEYS.items()},
            "running": f"'{BY_STATUS.prefix}{Status.RUNNING.value}'",
        },
        "F": {name: f"'{field}'" for name, field in FIELDS.items()},
        "WF": {name: f"'{field}'" for name, field in WORKFLOW_RUN_FIELDS.items()},
        "LETTER": {name: f"'{field}'" for name, field in LETTER_FIELDS.items()},
        "SF": {name: f"'{field}'" for name, field in SCHEDULE_FIELDS.items()},
        "AK": {name: f"'{field}'" for name, field in API_KEY_FIELDS.items()},
        "BODY": {
            "all_completed": f"[==[{_ALL_COMPLETED}]==]",
            "not_all": f"[==[{_NOT_ALL}]==]",
            **{name: f"[==[{run_body(end)}]==]" for name, end in _BODIES.items()},
        },
        "OWN": {"prefix": f"'{QUEUE_PREFIX}'", "length": str(len(QUEUE_PREFIX))},
        "LIMIT": {
            "events_kept": str(int(limits.events_kept)),
            "log_kept_s": str(int(limits.log_kept_s)),
            "sent_log_kept_s": str(int(limits.sent_log_kept_s)),
            "hint_ms": str(round(limits.hint_after_s * 1000)),
            "hint_most_ms": str(round(limits.hint_after_s * 1000) * _HINT_MOST),
            "step_hint_ms": str(min(_STEP_HINT_MS, round(limits.hint_after_s * 1000))),
            "unswept_ms": str(_UNSWEPT_MS),
            "back_ms": str(_BACK_MS),
            "hints_moved": str(_HINTS_MOVED),
            "overdue_ms": str(round(limits.overdue_s * 1000)),
            "letters": str(int(limits.letters)),
            "letter_bytes": str(int(limits.letter_bytes)),
        },
    }
    return _PLACE.sub(lambda place: values[place[1]][place[2]], _COMMENT.sub("", text))
