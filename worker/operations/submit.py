"""Submit: check a payload, record the task, and publish the hint that it is pending."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from msgspec import Struct

from engine.errors import PayloadError, PenstockError, Problem
from engine.log.text import printable
from engine.plugin import Prepared
from engine.schema import dump_payload, parse_payload
from engine.script.parameters import filled
from engine.script.program import BROWSER
from worker.broker import Publisher
from worker.model.access import Principal
from worker.model.answers import Hint, Registered
from worker.model.status import Status
from worker.model.target import Target
from worker.model.task import TASK_ID, NewTask, StepTask
from worker.operations.address import Fleet, address_to
from worker.operations.authorise import check_execute, may_read_task
from worker.operations.digest import digest_of
from worker.store import Records

# Every record carries them.
_WHO_CHARACTERS = 200


class ScriptDisabled(PenstockError):
    """The script is declared `enabled: false`; nothing may run it."""


class RunsInPage(PenstockError):
    """The script is for a browser; no worker can run it."""


class Conflict(PenstockError):
    """The id or the idempotency key is taken by a task with another content."""


class Submitted(Struct, frozen=True):
    """`created` is False when the same task was there already; then nothing was changed or published.

    `digest` is the SHA-256 of the payload in hex, for the audit; None when it held secrets. `status` is the one that it
    was created with.
    """

    task_id: str
    created: bool
    digest: str | None
    status: Status = Status.PENDING


async def submit(
    prepared: Prepared,
    payload: bytes,
    *,
    records: Records,
    publisher: Publisher,
    default_queue: str,
    trigger: str,
    principal: Principal,
    address: str | None = None,
    task_id: str | None = None,
    tags: tuple[str, ...] = (),
    priority: int = 0,
    due_at: int | None = None,
    deadline: int | None = None,
    key: str | None = None,
    rerun_of: str | None = None,
    target: Target | None = None,
    fleet: Fleet | None = None,
) -> Submitted:
    """Make a task of a payload, which is UTF-8 JSON. `NewTask` says what `priority` and the rest mean.

    With a `target` it is for those workers of the `fleet` that the target means now; NobodyMeant when that is none.

    `principal` is who asks for it, `address` where from; both are recorded. Raises NotAllowed before anything is looked
    at.

    Raises BrokerAway when the task was recorded and could not be published; a worker publishes it then. The same
    `task_id`, or the same `key`, with the same content is the same task; with other content Conflict is raised and
    nothing changed. Raises PayloadError with every violation, ScriptDisabled, and RunsInPage.
    """
    new = new_task(
        prepared,
        payload,
        default_queue=default_queue,
        trigger=trigger,
        principal=principal,
        address=address,
        task_id=task_id,
        tags=tags,
        priority=priority,
        due_at=due_at,
        deadline=deadline,
        key=key,
        rerun_of=rerun_of,
    )
    publish: tuple[Hint, ...] = ()
    if target is None:
        registration = await records.register(new)
        # One that is not due yet is published by a sweep, when it is.
        if registration.outcome is Registered.CREATED and due_at is None:
            publish = (Hint(new.id, new.script, new.queue, 0, new.priority),)
    else:
        if fleet is None:
            raise ValueError("a target without the workers that it may mean")
        addressed = await address_to(new, target, fleet, principal)
        registration, publish = addressed.registration, addressed.publish
    if registration.outcome is Registered.CONFLICT:
        if registration.task_id == new.id:
            raise Conflict(f"the id {new.id} belongs to a task with another script, payload or target")
        # To run a script is not to read its tasks.
        other = f"task {registration.task_id}" if may_read_task(principal, new.script) else "a task"
        raise Conflict(f"the idempotency key belongs to {other} with another payload or target")
    created = registration.outcome is Registered.CREATED
    await _publish(publish, publisher)
    digest = new.digest if new.shown.encode() == new.payload else None
    # One that stands for others runs as long as they do.
    stands = target is not None and target.worker is None
    return Submitted(registration.task_id, created, digest, Status.RUNNING if stands else Status.PENDING)


async def _publish(hints: Sequence[Hint], publisher: Publisher) -> None:
    """All that can be; raises BrokerAway when one could not."""
    if len(hints) == 1:
        (one,) = hints
        await publisher.publish(one.script, one.task_id, one.queue, one.priority)
        return
    calls = (publisher.publish(each.script, each.task_id, each.queue, each.priority) for each in hints)
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def new_task(
    prepared: Prepared,
    payload: bytes,
    *,
    default_queue: str,
    trigger: str,
    principal: Principal,
    address: str | None,
    task_id: str | None,
    tags: tuple[str, ...] = (),
    priority: int = 0,
    due_at: int | None = None,
    deadline: int | None = None,
    key: str | None = None,
    rerun_of: str | None = None,
    workflow: StepTask | None = None,
) -> NewTask:
    """What `submit` records. Raises NotAllowed before anything is looked at, ScriptDisabled, and PayloadError."""
    script = prepared.script
    check_execute(principal, script)
    if not script.enabled:
        raise ScriptDisabled(f"the script {script.name} is disabled")
    if script.program and script.program.kind == BROWSER:
        raise RunsInPage(f"the script {script.name} runs in a page only, and not on a worker")
    if task_id is not None and not TASK_ID.match(task_id):
        raise PayloadError([Problem(f"an id has the form {TASK_ID.pattern}, not {task_id!r:.100}", "/id")])
    value = filled(script.defaults, parse_payload(payload, max_bytes=script.limits.payload_bytes))
    violations = prepared.schema.check(value)
    if violations:
        raise PayloadError(violations)
    exact = dump_payload(value)
    return NewTask(
        id=task_id or str(uuid.uuid4()),
        script=script.name,
        payload=exact,
        shown=dump_payload(prepared.schema.redact(value)).decode(),
        digest=digest_of(exact),
        queue=script.queue or default_queue,
        trigger=trigger,
        dry_run=value.get("dryRun") is True,
        tags=tags,
        retries=script.retries,
        priority=priority,
        due_at=due_at,
        deadline=deadline,
        key=key,
        submitted_by=printable(principal.name, _WHO_CHARACTERS),
        submitted_from=printable(address, _WHO_CHARACTERS) if address else None,
        rerun_of=rerun_of,
        workflow=workflow,
    )
