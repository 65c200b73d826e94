"""Submitting: from the arguments of `submit` and `run` to a recorded task."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from worker.cli import exit_codes
from worker.cli.deployment import script_of
from worker.cli.failure import Failure
from worker.cli.moment import Moment, MomentType
from worker.cli.notice import notice
from worker.cli.options import payload_options
from worker.cli.payload import payload_from

if TYPE_CHECKING:
    from engine.plugin import Prepared
    from worker.daemons.wiring import Deployment, Store
    from worker.model.audit import Result

_F = TypeVar("_F", bound=Callable[..., Any])
# What a listing shows is kept short, as is what a record keeps.
_TAG_CHARS = 100
_KEY_CHARS = 200


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What `task_options` ask for, besides the payload."""

    task_id: str | None
    tags: tuple[str, ...]
    priority: int
    due: Moment | None
    deadline: Moment | None
    key: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """A task that is wanted. `payload` is UTF-8 JSON and not checked yet."""

    deployment: Deployment
    prepared: Prepared
    payload: bytes
    task_id: str
    options: TaskOptions


@dataclass(frozen=True, slots=True)
class Accepted:
    """`task_id` is that of the earlier task when the idempotency key was used before.

    `created` is False for a task that was there already; not `published`: a worker will find it by itself."""

    task_id: str
    created: bool
    published: bool


def task_options(function: _F) -> _F:
    """The options of `submit` and `run` that make a task; as the argument `options` of type TaskOptions."""

    @wraps(function)
    def with_options(
        *args: Any,
        task_id: str | None,
        tags: tuple[str, ...],
        priority: int,
        delay: Moment | None,
        at: Moment | None,
        deadline: Moment | None,
        key: str | None,
        **kwargs: Any,
    ) -> Any:
        if delay and at:
            raise click.UsageError("--delay and --at say the same: give one of them")
        return function(*args, options=TaskOptions(task_id, tags, priority, delay or at, deadline, key), **kwargs)

    decorated: Any = with_options
    for option in reversed(_TASK_OPTIONS):
        decorated = option(decorated)
    return cast("_F", payload_options(decorated))


_TASK_OPTIONS = (
    click.option(
        "--id",
        "task_id",
        metavar="ID",
        help="The task's id [default: a new UUID]. The same id with the same content is the same task.",
    ),
    click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag of the task; may be repeated."),
    click.option(
        "--priority",
        metavar="0-9",
        type=click.IntRange(0, 9),
        default=0,
        help="9 is the most urgent [default: 0].",
    ),
    click.option("--delay", metavar="DURATION", type=MomentType(after=True), help="Not to be started before that."),
    click.option("--at", metavar="TIME", type=MomentType(at=True), help="Not to be started before that; ISO 8601."),
    click.option(
        "--deadline",
        metavar="DURATION|TIME",
        type=MomentType(after=True, at=True),
        help="It ends by then, as deadline-exceeded if need be, whether it has started or not.",
    ),
    click.option(
        "--idempotency-key",
        "key",
        metavar="KEY",
        help="The same key with the same content is the same task, whatever its id, as long as that is kept.",
    ),
)


def request_of(
    home: Path, script: str, parameters: tuple[str, ...], source: str | None, options: TaskOptions
) -> Request:
    """Reads the deployment and the payload. Raises for a wrong deployment, an unknown script, an unreadable payload."""
    from worker.daemons.wiring import open_deployment
    from worker.model import TASK_ID

    task_id, tags = options.task_id, options.tags
    if task_id is not None and not TASK_ID.match(task_id):
        raise click.UsageError(f"--id has the form {TASK_ID.pattern}, not {task_id[:80]!r}")
    for tag in tags:
        if not 0 < len(tag) <= _TAG_CHARS or not tag.isprintable():
            raise click.UsageError(f"a tag has 1 to {_TAG_CHARS} printable characters, not {tag[:80]!r}")
    if options.key is not None and not (0 < len(options.key) <= _KEY_CHARS and options.key.isprintable()):
        raise click.UsageError(f"an idempotency key has 1 to {_KEY_CHARS} printable characters")
    deployment = open_deployment(home)
    prepared = script_of(deployment.catalog, script)
    if not prepared.script.enabled:
        raise Failure(exit_codes.NOT_ALLOWED, f"the script {script} is disabled")
    limit = prepared.script.limits.payload_bytes
    payload = payload_from(parameters, source, schema=prepared.schema, max_bytes=limit)
    # An id of our own, so that a submission whose answer was lost can be repeated.
    return Request(deployment, prepared, payload, task_id or str(uuid.uuid4()), options)


async def submit_to(store: Store, request: Request) -> Accepted:
    """Record and publish. Raises PayloadError with every violation, Failure for a conflict."""
    from engine.errors import PayloadError
    from worker.broker import BrokerAway
    from worker.cli.local import local_principal, record
    from worker.daemons.sources import publisher
    from worker.model.audit import AuditEntry
    from worker.operations.submit import Conflict, submit

    options, settings = request.options, request.deployment.settings

    async def audit(result: Result, detail: str, digest: str | None = None) -> None:
        name = request.prepared.script.name
        entry = AuditEntry.by(local_principal(), "scripts.execute", result, name, digest=digest, detail=detail)
        await record(settings, store, [entry])

    due_at, deadline = await _times(store, options)
    try:
        submitted = await submit(
            request.prepared,
            request.payload,
            records=store.records,
            publisher=publisher(request.deployment, store),
            default_queue=settings.default_queue,
            trigger="cli",
            principal=local_principal(),
            task_id=request.task_id,
            tags=options.tags,
            priority=options.priority,
            due_at=due_at,
            deadline=deadline,
            key=options.key,
        )
    except Conflict as error:
        await audit("failed", "conflict")
        raise Failure(exit_codes.DATA, f"conflict: {error}") from None
    except PayloadError as error:
        await audit("failed", f"malformed payload, {len(error.problems)} problems")
        raise
    except BrokerAway:
        await audit("allowed", request.task_id)
        # The error's text may hold the URL with its password.
        notice("the task is recorded, but the broker cannot be reached; a worker publishes it when it is back")
        return Accepted(request.task_id, True, False)
    await audit("allowed", submitted.task_id, submitted.digest)
    return Accepted(submitted.task_id, submitted.created, True)


async def _times(store: Store, options: TaskOptions) -> tuple[int | None, int | None]:
    """When it is due, and its deadline. Durations count from now by the clock that will be looked at."""
    if not options.due and not options.deadline:
        return None, None
    seconds, microseconds = await store.redis.time()
    now_ms = seconds * 1000 + microseconds // 1000
    due_at = options.due.ms(now_ms) if options.due else None
    deadline = options.deadline.ms(now_ms) if options.deadline else None
    if deadline is not None and deadline <= max(now_ms, due_at or 0):
        raise click.UsageError("the deadline has passed before the task can start")
    return due_at, deadline
