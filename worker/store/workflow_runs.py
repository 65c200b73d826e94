"""WorkflowRuns: the records of workflow runs, each change one atomic call.

Calls may be made twice, and raise, as those of records.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from redis.asyncio import Redis

from worker.model.access import Principal
from worker.model.answers import Hint
from worker.model.task import CancelRequest
from worker.model.workflow_run import (
    Advance,
    Advanced,
    NewWorkflowRun,
    StartedTask,
    StepState,
    StepStatus,
    WorkflowRun,
    WorkflowRunPage,
    WorkflowStatus,
)
from worker.store import decoding, encoding
from worker.store.errors import InvalidName, store_errors
from worker.store.keys import (
    WORKFLOW_RUN_FIELDS,
    WORKFLOW_RUNS,
    WORKFLOW_RUNS_OF,
    checked_id,
    checked_workflow,
    workflow_run_key,
)
from worker.store.reading import POSITION
from worker.store.records import hints_of
from worker.store.script import TASKS, Script, StoreLimits

PAGE_LIMIT = 200
# Who was given a run to advance has so long before somebody else is.
HANDED_OUT_MS = 5_000
# Runs that one page looks at for a status, at most.
_LOOKED_AT = 2000
_BATCH = 200
_TASK_ARGUMENTS = 13

_FIELD = WORKFLOW_RUN_FIELDS


class AdvanceAnswer(Struct, frozen=True):
    """`publish`: the tasks that were recorded. `conflict`: the id of the task that is another's."""

    outcome: Advanced
    publish: tuple[Hint, ...] = ()
    conflict: str | None = None


class WorkflowRuns:
    """The runs behind one connection pool; safe for any number of tasks of one event loop."""

    def __init__(self, redis: Redis, limits: StoreLimits = StoreLimits()) -> None:
        self._redis = redis
        self._start = Script(redis, "workflow_start", limits)
        self._advance = Script(redis, "workflow_advance", limits, *TASKS)
        self._cancel = Script(redis, "workflow_cancel", limits)
        self._due = Script(redis, "workflow_due", limits)
        self._prune = Script(redis, "workflow_prune", limits)

    async def start(self, new: NewWorkflowRun) -> str:
        """Record a run, none of whose steps has begun, and have it advanced: `created`.

        One with the same id is left untouched: `same` for the same workflow with the same digest, else `conflict`.
        """
        answer = await self._start(
            checked_id(new.id),
            checked_workflow(new.workflow),
            encoding.text(new.definition),
            new.input,
            encoding.text(new.shown),
            new.digest,
            _steps(new.steps),
            _who(new.principal, new.address),
            new.trigger,
            new.rerun_of or "",
        )
        return str(answer.decode())

    async def advance(self, run: WorkflowRun, change: Advance, *, again: bool = False) -> AdvanceAnswer:
        """Change a run that is still as it was read, and record the tasks that begin: all of it or nothing.

        `again`: somebody else has to look at it soon, although nothing happens to it.
        """
        arguments = [part for task in change.tasks for part in _started(task)]
        answer = await self._advance(
            checked_id(run.id),
            run.version,
            change.status.value,
            _steps(change.steps),
            int(change.status.final),
            HANDED_OUT_MS if again else "",
            *arguments,
        )
        match answer[0]:
            case b"done":
                return AdvanceAnswer(Advanced.DONE, hints_of(answer[1]))
            case b"conflict":
                return AdvanceAnswer(Advanced.CONFLICT, conflict=answer[1].decode())
        return AdvanceAnswer(Advanced.STALE)

    async def cancel(self, run_id: str, by: str, why: str = "") -> tuple[str, WorkflowStatus | None]:
        """Ask for the end of a run: `requested`, `already`, `final` or `unknown`. No step begins from then on."""
        outcome, status = await self._cancel(checked_id(run_id), encoding.cancel_body(by, why))
        return outcome.decode(), WorkflowStatus(status.decode()) if status else None

    async def due(self, limit: int = 50) -> tuple[str, ...]:
        """Runs that have to be looked at, for the caller to advance. Others get them later, if they are still due."""
        found = await self._due(max(1, limit), HANDED_OUT_MS)
        return tuple(run_id.decode() for run_id in found)

    async def prune(self, *, older_than_ms: int | None, keep_count: int | None, limit: int = 200) -> int:
        """Forget runs that ended longer ago, and the oldest beyond `keep_count`. At most `limit`; how many."""
        return int(
            await self._prune(
                "" if older_than_ms is None else older_than_ms,
                "" if keep_count is None else keep_count,
                max(1, limit),
            )
        )

    async def get(self, run_id: str) -> WorkflowRun | None:
        run, _ = await self.look_up(run_id)
        return run

    async def look_up(self, run_id: str) -> tuple[WorkflowRun | None, int]:
        """The run, and the time by the store's clock in milliseconds."""
        key = workflow_run_key(run_id)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hgetall(key)
            pipeline.time()
            with store_errors():
                values, (seconds, microseconds) = await pipeline.execute()
        return (_run(run_id, values) if values else None), seconds * 1000 + microseconds // 1000

    async def page(
        self,
        *,
        workflow: str | None = None,
        status: WorkflowStatus | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> WorkflowRunPage:
        """Runs, newest first; `before` is the `next` of a page. Of a status: a page may be short and not the last."""
        if not 1 <= limit <= PAGE_LIMIT:
            raise ValueError(f"a page has 1 to {PAGE_LIMIT} runs, not {limit}")
        if before is not None and not POSITION.match(before):
            raise InvalidName(f"not a cursor: {before[:40]!a}")
        key = WORKFLOW_RUNS.name if workflow is None else WORKFLOW_RUNS_OF.prefix + checked_workflow(workflow)
        found: list[WorkflowRun] = []
        at, looked_at = before, 0
        while looked_at < _LOOKED_AT:
            count = limit if status is None else _BATCH
            with store_errors():
                places: Any = await self._redis.zrevrangebyscore(
                    key, "+inf" if at is None else f"({at}", "-inf", start=0, num=count + 1, withscores=True
                )
            more = len(places) > count
            some: list[tuple[bytes, float]] = places[:count]
            for (_, position), run in zip(some, await self._runs(some), strict=True):
                at, looked_at = f"{position:.0f}", looked_at + 1
                if run is not None and status in (None, run.status):
                    found.append(run)
                    if len(found) == limit:
                        last = f"{places[-1][1]:.0f}" == at
                        return WorkflowRunPage(tuple(found), None if last else at)
            if not more:
                return WorkflowRunPage(tuple(found))
        return WorkflowRunPage(tuple(found), at)

    async def _runs(self, places: Any) -> list[WorkflowRun | None]:
        if not places:
            return []
        ids = [run_id.decode() for run_id, _ in places]
        async with self._redis.pipeline(transaction=False) as hashes:
            for run_id in ids:
                hashes.hgetall(workflow_run_key(run_id))
            with store_errors():
                values = await hashes.execute()
        return [_run(run_id, fields) if fields else None for run_id, fields in zip(ids, values, strict=True)]


def _started(started: StartedTask) -> list[str | bytes | int]:
    arguments = encoding.new_task(started.task)
    assert len(arguments) == _TASK_ARGUMENTS, "the task of a step belongs to a workflow"
    return [started.task.id, "" if started.timeout_ms is None else started.timeout_ms, *arguments]


def _who(principal: Principal, address: str | None) -> str:
    who: dict[str, Any] = {"n": principal.name, "k": principal.kind, "s": sorted(principal.scopes)}
    if principal.key_id:
        who["y"] = principal.key_id
    if address:
        who["f"] = address
    return encoding.compact(who)


_SHORT = {"task": "t", "reason": "r", "started_at": "b", "finished_at": "f"}


def _steps(steps: tuple[StepState, ...]) -> str:
    values = []
    for step in steps:
        value: dict[str, Any] = {"n": step.name, "s": step.status.value}
        if step.attempt:
            value["a"] = step.attempt
        if step.message:
            value["m"] = encoding.shortened(step.message)
        if step.kept:
            value["k"] = 1
        for name, short in _SHORT.items():
            if (found := getattr(step, name)) is not None:
                value[short] = found
        values.append(value)
    return encoding.compact(values)


def _step(value: Mapping[str, Any]) -> StepState:
    return StepState(
        name=value["n"],
        status=StepStatus(value["s"]),
        attempt=value.get("a", 0),
        message=value.get("m", ""),
        kept=bool(value.get("k")),
        **{name: value.get(short) for name, short in _SHORT.items()},
    )


def _run(run_id: str, values: Mapping[bytes, bytes]) -> WorkflowRun:
    def raw(name: str) -> bytes | None:
        return values.get(_FIELD[name].encode())

    def text(name: str) -> str:
        return (raw(name) or b"").decode("utf-8", "replace")

    def number(name: str) -> int | None:
        return int(text(name)) if raw(name) is not None else None

    who = json.loads(text("who"))
    cancel: CancelRequest | None = decoding.cancel_request(text("cancel"))
    return WorkflowRun(
        id=run_id,
        workflow=text("workflow"),
        status=WorkflowStatus(text("status")),
        version=int(text("version")),
        definition=text("definition"),
        input=raw("input"),
        shown=json.loads(text("shown")),
        digest=text("digest"),
        principal=Principal(who["n"], who["k"], frozenset(who["s"]), who.get("y")),
        address=who.get("f"),
        trigger=text("trigger"),
        created_at=int(text("created")),
        changed_at=int(text("changed")),
        finished_at=number("finished"),
        steps=tuple(_step(value) for value in json.loads(text("steps"))),
        cancel=cancel,
        rerun_of=text("rerun_of") or None,
    )
