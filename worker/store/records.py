"""Records: the verbs that change a task's record, each one atomic call, and those that read it.

Every call may be made twice: what was done is not done again. Wrong use raises ValueError (InvalidName for
ids and names), an absent or full store StoreUnavailable, which is also an OSError.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from typing import Any

from redis.asyncio import Redis

from worker.model.answers import (
    Cancelled,
    CancelOutcome,
    Claimed,
    Finished,
    Hint,
    Overdue,
    Refusal,
    Refused,
    Registered,
    Registration,
    Renewal,
    Rescued,
    Resolved,
    ResolveOutcome,
    Swept,
)
from worker.model.listing import Event, Selection, TaskFilter, TaskPage
from worker.model.overview import Span
from worker.model.status import Status
from worker.model.task import Claim, NewTask, Resolution, RunLimits, Task
from worker.store import decoding, encoding, reading, selecting
from worker.store.connect import BLOCK_MS
from worker.store.errors import StoreError, store_errors
from worker.store.history import read_history
from worker.store.keys import checked_id, checked_script, checked_worker, payload_key
from worker.store.live_log_entry import Entry
from worker.store.script import STATUS, TASKS, Script, StoreLimits
from worker.store.summaries import read_summaries


class Records:
    """The records behind one connection pool; safe for any number of tasks of one event loop."""

    def __init__(self, redis: Redis, limits: StoreLimits = StoreLimits()) -> None:
        self._redis = redis
        self._register = Script(redis, "register", limits, *TASKS)
        self._claim = Script(redis, "claim", limits, "at_once", *TASKS, "waiting")
        self._renew = Script(redis, "renew", limits)
        self._resolve = Script(redis, "resolve", limits, STATUS, "ending", "for_good", "tasks", "waiting")
        self._cancel = Script(redis, "cancel", limits, *TASKS)
        self._sweep = Script(redis, "sweep", limits, *TASKS, "waiting")
        self._prunable = Script(redis, "prunable", limits)
        self._forget = Script(redis, "forget", limits, *TASKS)

    async def register(self, new: NewTask) -> Registration:
        """Record a task with its run 0 pending.

        One with the same id, or else with the same key, is left untouched; it is the same task when script and
        digest are the same. A task with a `due_at` to come needs no message: a sweep hands it out.
        """
        outcome, task_id = await self._register(new.id, *encoding.new_task(new))
        return Registration(Registered(outcome.decode()), task_id.decode())

    async def claim(
        self,
        task_id: str,
        worker: str,
        lease_s: float,
        new: NewTask | None = None,
        *,
        claim_id: str | None = None,
        limits: RunLimits | None = None,
        of_script: str | None = None,
    ) -> Claimed | Refused:
        """Claim the newest run when it is pending and due, and its script may start one more run by `limits`.

        A task of another script than `of_script` is a conflict. With `new` a task that is not there is recorded
        first, and one that is another is a conflict. A run that should have started by now is ended instead, and
        refused as final.
        `claim_id` tells a repeated call from a second one: the same worker with the same `claim_id` gets the
        same claim again, with a whole lease from then on. Who repeats after StoreUnavailable has to pass one,
        else its own lost claim looks busy.
        """
        if new is not None and new.id != task_id:
            raise ValueError("a task is claimed under its own id")
        answer = await self._claim(
            checked_id(task_id),
            checked_worker(worker),
            claim_id or secrets.token_hex(6),
            _milliseconds(lease_s),
            encoding.run_limits(limits),
            encoding.text(of_script or ""),
            *(encoding.new_task(new) if new else ()),
        )
        word = answer[0].decode()
        if word == "lost":
            raise StoreError(f"the payload of task {task_id} is gone from the store")
        if word != "granted":
            return Refused(Refusal(word), Status(answer[1].decode()) if len(answer) > 1 else None)
        _, run, token, payload, script, queue, retries, about, created, now, deadline, cancel, workflow = answer
        trigger, dry_run = decoding.trigger(about)
        return Claimed(
            claim=Claim(task_id, int(run), int(token), lease_s),
            payload=payload,
            script=script.decode(),
            queue=queue.decode("utf-8", "replace"),
            retries=int(retries),
            trigger=trigger,
            dry_run=dry_run,
            created_at=int(created),
            now=now,
            deadline=int(deadline) if deadline else None,
            cancel=decoding.cancel_request(cancel),
            workflow=decoding.step_task(workflow),
        )

    async def renew(self, worker: str, claims: Sequence[Claim], lease_s: float) -> tuple[Renewal, ...]:
        """Extend the leases of all runs of a worker in one call; answers in the order of the claims."""
        if not claims:
            return ()
        answers = await self._renew(
            checked_worker(worker),
            _milliseconds(lease_s),
            *(part for claim in claims for part in _claim(claim)),
        )
        return tuple(
            Renewal(claim, lost=held != 1, cancel=decoding.cancel_request(cancel), overdue=overdue == 1)
            for claim, held, overdue, cancel in zip(claims, answers[0::3], answers[1::3], answers[2::3], strict=True)
        )

    async def resolve(
        self,
        claim: Claim,
        end: Resolution,
        *,
        next_run: bool = False,
        delay_s: float = 0.0,
        live: Entry | None = None,
        limited: bool = True,
    ) -> Resolved:
        """Record the end of a run and give its claim back. `live`: see `LiveLogWriter.close`. `limited`: whether others
        of the script may wait for room; if none is told of it now, a sweep does it.

        With `next_run` another run follows, unless the task was asked to be cancelled or the run could not start
        in time: due at once (it is in `publish`), or `delay_s` later (a sweep then hands it out). The caller decides
        whether one is allowed, by `Claimed.retries`; one is taken off if any is left. Without a next run the task
        is final and its payload forgotten.
        """
        outcome, following, publish = await self._resolve(
            *_claim(claim),
            end.status.value,
            encoding.text(end.reason or ""),
            encoding.run_body(end),
            int(next_run),
            _milliseconds(delay_s),
            int(limited),
            *(part for field in live.fields().items() for part in field) if live else (),
        )
        return Resolved(ResolveOutcome(outcome.decode()), int(following) if following else None, hints_of(publish))

    async def cancel(self, task_id: str, by: str, why: str = "") -> Cancelled:
        """End a pending task, or ask the worker of a running one to end it. A final task is left as it is."""
        never_started = Resolution(Status.CANCELLED, "cancelled", f"cancelled by {by}" + (f": {why}" if why else ""))
        outcome, status, worker = await self._cancel(
            checked_id(task_id), encoding.cancel_body(by, why), encoding.run_body(never_started)
        )
        return Cancelled(
            CancelOutcome(outcome.decode()),
            Status(status.decode()) if status else None,
            worker.decode() if worker else None,
        )

    async def sweep(self, limit: int = 100) -> Swept:
        """End at most `limit` tasks whose time has passed and as many runs whose lease passed; hand out what is due.

        At most `limit` pending runs that seem to have lost their message, and of each throttled script as many as
        there is room for. A run that is handed out is not handed out again for a while, whether it is published or
        not.
        """
        more, overdue, rescued, publish = await self._sweep(max(1, limit))
        return Swept(
            overdue=tuple(
                Overdue(
                    task_id.decode(),
                    script.decode(),
                    int(run),
                    worker.decode() or None,
                    Status(status.decode()),
                )
                for task_id, script, run, worker, status in overdue
            ),
            rescued=tuple(
                Rescued(
                    task_id.decode(),
                    script.decode(),
                    int(run),
                    worker.decode(),
                    Status(status.decode()),
                    retried == 1,
                )
                for task_id, script, run, worker, status, retried in rescued
            ),
            publish=hints_of(publish),
            more=more == 1,
        )

    async def prunable(
        self,
        *,
        older_than_ms: int | None,
        keep_count: int | None,
        script: str | None = None,
        besides: Collection[str] = (),
        limit: int = 200,
    ) -> tuple[Finished, ...]:
        """Final tasks that finished longer ago, and the oldest beyond `keep_count`; None is no bound.

        Of that script, or of all; those in `besides`, which have bounds of their own, are neither found nor counted.
        At most `limit`, the oldest first. `forget` them when whatever else is kept under their ids is gone, and call
        again until nothing comes back.
        """
        found = await self._prunable(
            "" if older_than_ms is None else older_than_ms,
            "" if keep_count is None else keep_count,
            max(1, limit),
            "" if script is None else checked_script(script),
            *(checked_script(each) for each in besides),
        )
        return tuple(
            Finished(task_id.decode(), script.decode(), int(at))
            for task_id, script, at in zip(found[0::3], found[1::3], found[2::3], strict=True)
        )

    async def forget(self, tasks: Collection[Finished]) -> int:
        """Remove their records; how many were there. One whose id has become a new task's stays."""
        if not tasks:
            return 0
        removed = await self._forget(
            *(part for task in tasks for part in (checked_id(task.task_id), checked_script(task.script), task.at))
        )
        return int(removed)

    async def get(self, task_id: str) -> Task | None:
        return await reading.read_task(self._redis, task_id)

    async def several(self, task_ids: Sequence[str]) -> tuple[Task | None, ...]:
        """The records in that order, without their payloads; None for one that is not there (any more)."""
        found = await read_summaries(self._redis, [checked_id(task_id) for task_id in task_ids])
        return tuple(summary.task if summary else None for summary in found)

    async def payload(self, task_id: str) -> bytes | None:
        """The payload as it was registered; None for an unknown or final task."""
        key = payload_key(task_id)
        with store_errors():
            payload: Any = await self._redis.get(key)
        return None if payload is None else bytes(payload)

    async def list(
        self,
        *,
        script: str | None = None,
        status: Status | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> TaskPage:
        """Tasks in the order in which they were recorded, newest first; `before` is the `next` of a page."""
        return await reading.read_page(self._redis, script, status, limit, before)

    async def select(
        self, wanted: TaskFilter, *, limit: int = 50, before: str | None = None, payload_bytes: int = 0
    ) -> Selection:
        """Tasks that match, newest first; `before` is the `next` of a selection with the same filter.

        Looks at a bounded number of records, however few of them match. With the payloads that are not larger than
        `payload_bytes`.
        """
        return await selecting.read_selection(self._redis, wanted, limit, before, payload_bytes)

    async def pending(
        self, script: str | None = None, *, after: str | None = None, limit: int = 200
    ) -> tuple[str, ...]:
        """Ids of pending tasks, newest first; none at the end. `after` is the last id of the page before.

        Who goes on until the end meets no task twice and none that is recorded meanwhile.
        """
        return await reading.read_pending(self._redis, script, after, limit)

    async def counts(self) -> dict[Status, int]:
        """How many tasks have each status; every status is there."""
        return await reading.read_counts(self._redis)

    async def counts_of_scripts(self, scripts: Sequence[str]) -> dict[str, dict[Status, int]]:
        """The same for each of these scripts."""
        return await reading.read_counts_of_scripts(self._redis, scripts)

    async def history(self, span: Span, scripts: Collection[str] | None = None) -> tuple[dict[Status, int], ...]:
        """For each bucket how many tasks were recorded in it, by the status that they have now. `scripts`: of these."""
        return await read_history(self._redis, span, scripts)

    async def newest_event(self) -> str:
        """The id to read events after, for who wants only what is to come."""
        return await reading.newest_event(self._redis)

    async def event_kept(self, event_id: str) -> bool:
        """Whether all events behind that one are kept."""
        return await reading.event_kept(self._redis, event_id)

    async def events(self, after: str, *, block_ms: int | None = BLOCK_MS, count: int = 500) -> tuple[Event, ...]:
        """Events after that id ("0" for all that are kept), oldest first.

        Waits up to two seconds for the first.
        """
        return await reading.read_events(self._redis, after, block_ms, count)


def hints_of(found: Sequence[tuple[bytes, bytes, bytes, bytes, bytes, int]]) -> tuple[Hint, ...]:
    return tuple(
        Hint(
            task_id.decode(),
            script.decode(),
            queue.decode("utf-8", "replace"),
            int(run),
            int(priority),
            waited_ms / 1000,
        )
        for task_id, script, queue, run, priority, waited_ms in found
    )


def _claim(claim: Claim) -> tuple[str, int, int]:
    return checked_id(claim.task_id), claim.run, claim.token


def _milliseconds(seconds: float) -> int:
    if not 0 <= seconds < 10**9:
        raise ValueError(f"not a duration in seconds: {seconds}")
    return round(seconds * 1000)
