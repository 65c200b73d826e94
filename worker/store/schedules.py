"""Schedules in the store: their declarations, and how far each has come. Knows no cron expression.

Every change is one atomic call. What a beat decides is kept before it is done, and done under ids that are the same for
every beat: so any number of them may run, and each of them may be killed anywhere.

A payload that holds secrets is kept sealed, whole: which part of it is a secret is the script's to say, and may be
another tomorrow.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from worker.model.access import Principal
from worker.model.schedule import Schedule, ScheduleState
from worker.model.sealing import Sealing, Unsealable
from worker.model.task import Task
from worker.store.connect import BLOCK_MS
from worker.store.encoding import shortened
from worker.store.errors import StoreError, store_errors
from worker.store.keys import (
    SCHEDULE_CHANGES,
    SCHEDULE_FIELDS,
    SCHEDULES,
    checked_schedule,
    schedule_key,
    schedule_runs_key,
    schedule_tasks_key,
)
from worker.store.reading import PAGE_LIMIT, read_task
from worker.store.script import Script, StoreLimits

# Beats look at all of them.
MOST = 1000
_IDS_KEPT = 1000
_TROUBLE_CHARACTERS = 500
_FIELDS = tuple(field.encode() for field in SCHEDULE_FIELDS.values())


class ScheduleExists(StoreError):
    """There is a schedule of that name."""


class ScheduleChanged(StoreError):
    """It is not any more as it was when it was read: somebody else changed or deleted it."""


class TooManySchedules(StoreError):
    """There are as many as there may be."""


class Schedules:
    """The schedules behind one connection pool; safe for any number of tasks of one event loop.

    An absent or full store raises StoreUnavailable, what cannot be a name InvalidName. Without `sealing` payloads with
    secrets are neither kept nor read.
    """

    def __init__(self, redis: Redis, sealing: Sealing | None = None) -> None:
        self._redis = redis
        self._sealing = sealing
        limits = StoreLimits()
        self._put = Script(redis, "schedule_put", limits)
        self._remove = Script(redis, "schedule_remove", limits)
        self._begin = Script(redis, "schedule_begin", limits)
        self._decide = Script(redis, "schedule_decide", limits)
        self._settle = Script(redis, "schedule_settle", limits)

    async def create(self, new: Schedule, now: int, *, secret: bool = False) -> Schedule:
        """Keep a new one, which begins now. `secret`: its payload holds some.

        Raises ScheduleExists, TooManySchedules, Unsealable.
        """
        made = await self._sealed(replace(new, created_at=now, updated_at=now), secret)
        await self._kept(made, "", now, "anew")
        return made

    async def update(self, old: Schedule, new: Schedule, now: int, *, secret: bool = False) -> Schedule:
        """Keep another in its place. What `new` has sealed stays as it is. Raises ScheduleChanged, Unsealable.

        With another timing it begins anew, and with a workflow for a script: a slot that a beat was busy with has a
        task or a run, and not both.
        """
        made = await self._sealed(replace(new, created_at=old.created_at, updated_at=now), secret)
        anew = made.timing != old.timing or bool(made.workflow) != bool(old.workflow)
        await self._kept(made, _dumped(old), now, "anew" if anew else "")
        return made

    async def reseal(self, old: Schedule, now: int) -> Schedule:
        """Seal its payload by the key in use, and change nothing else of it. Raises ScheduleChanged, Unsealable."""
        made = await self._sealed(replace(old, sealed=None), True)
        await self._kept(made, _dumped(old), now, "same")
        return made

    async def remove(self, name: str) -> bool:
        """Delete it, with what is known of its past; its tasks stay. False for an unknown one."""
        return bool(await self._remove(checked_schedule(name)))

    async def get(self, name: str) -> Schedule | None:
        with store_errors():
            found: Any = await self._redis.hget(SCHEDULES.name, checked_schedule(name))
        return None if found is None else self._opened(_loaded(name, found))

    async def list(self) -> tuple[Schedule, ...]:
        """All of them, by name."""
        with store_errors():
            found: Any = await self._redis.hgetall(SCHEDULES.name)
        return tuple(self._opened(_loaded(name.decode(), text)) for name, text in sorted(found.items()))

    async def states(self, names: Iterable[str]) -> dict[str, ScheduleState]:
        """How far each has come; without those that have not begun."""
        wanted = list(names)
        if not wanted:
            return {}
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in wanted:
                pipeline.hmget(schedule_key(name), *_FIELDS)
            with store_errors():
                answers = await pipeline.execute()
        return {name: _state(values) for name, values in zip(wanted, answers, strict=True) if values[0] is not None}

    async def begin(self, schedule: Schedule, now: int) -> None:
        """From now on it has slots, unless it has begun before."""
        await self._begin(checked_schedule(schedule.name), now, schedule.timing, secrets.token_hex(16))

    async def decide(self, name: str, before: ScheduleState, after: ScheduleState) -> ScheduleState | None:
        """Keep what was decided on; None when somebody else has decided, or the schedule is gone."""
        version = await self._decide(
            checked_schedule(name),
            before.version,
            after.handled,
            after.timing,
            " ".join(map(str, after.waiting)),
            after.skipped,
            after.missed,
        )
        return replace(after, version=int(version)) if version else None

    async def settle(
        self, name: str, slot: int | None, id: str | None, trouble: str = "", *, workflow: bool = False
    ) -> bool:
        """The slot has its task, or there will be none and `trouble` says why; without a slot: a trigger by hand.

        `workflow`: it is a run of one, and no task. False when that was settled before.
        """
        shown = shortened(trouble)[:_TROUBLE_CHARACTERS].encode("utf-8", "backslashreplace")
        slot_text, kind = "" if slot is None else slot, "runs" if workflow else "tasks"
        return bool(await self._settle(checked_schedule(name), slot_text, id or "", shown, _IDS_KEPT, kind))

    async def tasks(self, name: str, limit: int = 50, skip: int = 0) -> tuple[tuple[Task, ...], int]:
        """Its tasks, newest first, without those that were pruned; and how many ids are kept."""
        ids, total = await self._ids(schedule_tasks_key(name), limit, skip)
        found = [await read_task(self._redis, id) for id in ids]
        return tuple(task for task in found if task is not None), total

    async def run_ids(self, name: str, limit: int = 50, skip: int = 0) -> tuple[tuple[str, ...], int]:
        """Those of its workflow runs, newest first, pruned ones too; and how many are kept."""
        return await self._ids(schedule_runs_key(name), limit, skip)

    async def newest_change(self) -> str:
        """The id to wait after."""
        with store_errors():
            found: Any = await self._redis.xrevrange(SCHEDULE_CHANGES.name, count=1)
        return found[0][0].decode() if found else "0"

    async def changed(self, after: str, wait_ms: int) -> str:
        """The id of the newest change; waits for one after `after`, at most so long and no more than two seconds."""
        with store_errors():
            found: Any = await self._redis.xread({SCHEDULE_CHANGES.name: after}, block=max(1, min(wait_ms, BLOCK_MS)))
        entries = found[0][1] if found else ()
        return entries[-1][0].decode() if entries else after

    async def now(self) -> int:
        """The store's clock in milliseconds."""
        with store_errors():
            seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def _ids(self, key: str, limit: int, skip: int) -> tuple[tuple[str, ...], int]:
        if not 1 <= limit <= PAGE_LIMIT:
            raise ValueError(f"a page has 1 to {PAGE_LIMIT} ids, not {limit}")
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.zrevrange(key, skip, skip + limit - 1)
            pipeline.zcard(key)
            with store_errors():
                ids, total = await pipeline.execute()
        return tuple(id.decode() for id in ids), total

    async def _sealed(self, made: Schedule, secret: bool) -> Schedule:
        if not secret or made.sealed is not None:
            return made
        if self._sealing is None:
            raise Unsealable("there is no key here for payloads with secrets")
        if not self._sealing.has_key() and any(each.sealed for each in await self.list()):
            # A key of this host's own would make schedules that no other can read.
            raise Unsealable(
                "the store has secrets of a key that is not here: copy its file from the host that has it; when it is "
                "lost, `penstock secrets rotate` makes another"
            )
        clear = json.dumps(made.payload, separators=(",", ":")).encode()
        return replace(made, sealed=self._sealing.seal(_place(made), clear))

    def _opened(self, found: Schedule) -> Schedule:
        """One that cannot be opened is as the others but for its payload: none of them shall stop the rest."""
        if found.sealed is None:
            return found
        try:
            if self._sealing is None:
                raise Unsealable("there is no key here for payloads with secrets")
            if not isinstance(found.sealed, str):
                raise Unsealable("what the store has is no sealed text: give the secret again")
            return replace(found, payload=json.loads(self._sealing.open(_place(found), found.sealed)))
        except Unsealable as error:
            return replace(found, payload=None, unreadable=f"its payload cannot be read: {error}")

    async def _kept(self, made: Schedule, before: str, now: int, progress: str) -> None:
        answer = await self._put(
            checked_schedule(made.name),
            before,
            _dumped(made),
            MOST,
            now,
            made.timing,
            secrets.token_hex(16),
            progress,
        )
        match answer:
            case b"there":
                raise ScheduleExists(f"there is a schedule {made.name} already")
            case b"changed":
                raise ScheduleChanged(f"the schedule {made.name} was changed meanwhile")
            case b"full":
                raise TooManySchedules(f"there are {MOST} schedules, and no room for more")


def _place(schedule: Schedule) -> str:
    """What a sealed payload belongs to: whoever can write to the store shall not hand it to another script either."""
    what = f"workflow/{schedule.workflow}" if schedule.workflow is not None else f"script/{schedule.script}"
    return f"schedule/{schedule.name}/payload for {what}"


def _dumped(schedule: Schedule) -> str:
    owner = schedule.owner
    sealed = schedule.sealed
    return json.dumps(
        {
            "cron": schedule.cron,
            "owner": [owner.name, owner.kind, sorted(owner.scopes), owner.key_id],
            "script": schedule.script,
            "workflow": schedule.workflow,
            "timezone": schedule.timezone,
            **({"payload": schedule.payload} if sealed is None else {"sealed": sealed}),
            "enabled": schedule.enabled,
            "overlap": schedule.overlap,
            "catch_up": schedule.catch_up,
            "catch_up_limit": schedule.catch_up_limit,
            "jitter_s": schedule.jitter_s,
            "start_at": schedule.start_at,
            "end_at": schedule.end_at,
            "description": schedule.description,
            "tags": schedule.tags,
            "target": schedule.target,
            "created_at": schedule.created_at,
            "updated_at": schedule.updated_at,
            "updated_by": schedule.updated_by,
        },
        separators=(",", ":"),
    )


def _loaded(name: str, text: bytes) -> Schedule:
    value = json.loads(text)
    who, kind, scopes, key_id = value.pop("owner")
    return Schedule(
        name=name,
        **{**value, "tags": tuple(value["tags"]), "owner": Principal(who, kind, frozenset(scopes), key_id)},
    )


def _state(values: list[bytes | None]) -> ScheduleState:
    found: Mapping[str, str | None] = {
        name: None if value is None else value.decode("utf-8", "replace")
        for name, value in zip(SCHEDULE_FIELDS, values, strict=True)
    }

    def number(name: str) -> int | None:
        value = found[name]
        return int(value) if value else None

    return ScheduleState(
        version=number("version") or 0,
        handled=number("handled") or 0,
        salt=found["salt"] or "",
        timing=found["timing"] or "",
        waiting=tuple(int(slot) for slot in (found["waiting"] or "").split()),
        last_slot=number("last_slot"),
        last_task=found["last_task"],
        skipped=number("skipped") or 0,
        missed=number("missed") or 0,
        trouble=found["trouble"] or "",
        trouble_at=number("trouble_at"),
    )
