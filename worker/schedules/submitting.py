"""Submitting: the task or workflow run of one slot, or of a trigger by hand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from engine.errors import PayloadError
from engine.plugin import Prepared
from engine.schema import dump_payload
from worker.broker import BrokerAway, Publisher
from worker.config import Catalog
from worker.model.access import Principal, shared
from worker.model.schedule import Schedule, ScheduleState
from worker.model.status import Status
from worker.model.target import read_target
from worker.operations.address import Fleet, NobodyMeant
from worker.operations.authorise import NotAllowed, check_execute
from worker.operations.submit import Conflict, ScriptDisabled, submit
from worker.schedules.decide import start_ms, task_id
from worker.schedules.identity import KeyLookUp, OwnerGone, acting
from worker.schedules.target import NotSubmitted, Targets
from worker.store import Records
from worker.store.audit import Audit
from worker.store.schedules import Schedules


class Refused(NotSubmitted):
    """Whoever made the schedule may not run that, or may do nothing any more."""


class Launched(Struct, frozen=True):
    """What has become of a slot: of its task, or of its workflow run."""

    status: Status
    workflow: bool


class Submitting(Struct, frozen=True):
    """What it takes to submit for schedules. `roles`: the deployment's own."""

    schedules: Schedules
    records: Records
    publisher: Publisher
    keys: KeyLookUp
    roles: Mapping[str, frozenset[str]]
    default_queue: str
    workflows: Targets
    audit: Audit
    fleet: Fleet

    async def launched(self, id: str) -> Launched | None:
        """By the id of a slot, when the schedule may have run something else; None for what was pruned."""
        task = await self.records.get(id)
        if task is not None:
            return Launched(task.status, workflow=False)
        status = await self.workflows.status(id)
        return None if status is None else Launched(status, workflow=True)


async def submit_slot(schedule: Schedule, state: ScheduleState, slot: int, catalog: Catalog, by: Submitting) -> str:
    """The id of the slot's task or run, which is there afterwards; made twice it is the same. Raises NotSubmitted."""
    id = task_id(state, schedule.name, slot)
    _check_readable(schedule)
    try:
        owner, now = await acting(schedule.owner, by.keys, by.roles)
        if schedule.workflow is not None:
            await by.workflows.check(schedule.workflow, owner)
            # Its steps are started later, and may do no more than both.
            both = replace(now, scopes=shared(owner.scopes, now.scopes))
            await by.workflows.start(schedule.workflow, dump_payload(schedule.payload or {}), both, id, None)
            return id
        prepared = _prepared(schedule, catalog)
        check_execute(owner, prepared.script)
        due_at = start_ms(state, schedule, slot)
        if due_at is not None and due_at <= await by.schedules.now():
            due_at = None  # it is late: nothing would publish it soon
        if not await _submit(schedule, prepared, now, id, due_at, None, by):
            await _publish_again(id, by)
    except PayloadError as error:
        raise NotSubmitted(f"the payload is not valid any more: {error.problems[0]}") from None
    except NotAllowed as error:
        raise Refused(f"whoever made it may not run that (any more): {error}") from None
    except OwnerGone as error:
        raise Refused(str(error)) from None
    except (ScriptDisabled, Conflict, NobodyMeant) as error:
        if isinstance(error, NobodyMeant) and await by.records.get(id) is not None:
            return id  # a beat that was killed had submitted it, to those who were there then
        raise NotSubmitted(str(error)) from None
    return id


async def trigger(
    schedule: Schedule, principal: Principal, catalog: Catalog, by: Submitting, address: str | None = None
) -> str:
    """Submit its payload now, as whoever asks for it; whatever runs already. The id of the task, or of the run.

    Raises NotAllowed, ScriptDisabled, PayloadError, and NotSubmitted when what it runs is gone.
    """
    id = str(uuid.uuid4())
    _check_readable(schedule)
    if schedule.workflow is not None:
        await by.workflows.start(schedule.workflow, dump_payload(schedule.payload or {}), principal, id, address)
    else:
        await _submit(schedule, _prepared(schedule, catalog), principal, id, None, address, by)
    await by.schedules.settle(schedule.name, None, id, workflow=schedule.workflow is not None)
    return id


async def _submit(
    schedule: Schedule,
    prepared: Prepared,
    principal: Principal,
    id: str,
    due_at: int | None,
    address: str | None,
    by: Submitting,
) -> bool:
    """Whether it was not there before."""
    try:
        submitted = await submit(
            prepared,
            dump_payload(schedule.payload or {}),
            records=by.records,
            publisher=by.publisher,
            default_queue=by.default_queue,
            trigger="schedule",
            principal=principal,
            address=address,
            task_id=id,
            tags=(*schedule.tags, f"schedule:{schedule.name}"),
            due_at=due_at,
            target=None if schedule.target is None else read_target(schedule.target),
            fleet=by.fleet,
        )
    except BrokerAway:
        return True  # it is recorded, and a worker publishes it when the broker is back
    return submitted.created


async def _publish_again(id: str, by: Submitting) -> None:
    """A beat that was killed right after it recorded the task has published nothing; twice does no harm."""
    task = await by.records.get(id)
    if task is not None and task.status is Status.PENDING and task.due_at is None:
        with suppress(BrokerAway):
            await by.publisher.publish(task.script, task.id, task.queue, task.priority)


def _check_readable(schedule: Schedule) -> None:
    """Without its payload it would be another task."""
    if schedule.unreadable:
        raise NotSubmitted(schedule.unreadable)


def _prepared(schedule: Schedule, catalog: Catalog) -> Prepared:
    prepared = catalog.get(schedule.script or "")
    if prepared is None:
        raise NotSubmitted(f"there is no script {schedule.script} any more")
    return prepared
