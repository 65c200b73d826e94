"""Submitting: from the arguments of `submit` and `run` to a recorded task."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli import exit_codes
from worker.cli.deployment import script_of
from worker.cli.failure import Failure
from worker.cli.notice import notice
from worker.cli.options import payload_options
from worker.cli.payload import payload_from

if TYPE_CHECKING:
    from engine.plugin import Prepared
    from worker.daemons.wiring import Deployment, Store

_F = TypeVar("_F", bound=Callable[..., Any])
# What a listing shows is kept short, as is what a record keeps.
_TAG_CHARS = 100


@dataclass(frozen=True, slots=True)
class Request:
    """A task that is wanted. `payload` is UTF-8 JSON and not checked yet."""

    deployment: Deployment
    prepared: Prepared
    payload: bytes
    task_id: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """`created` is False for a task that was there already; not `published`: a worker will find it by itself."""

    task_id: str
    created: bool
    published: bool


def task_options(function: _F) -> _F:
    """The options of `submit` and `run` that make a task."""
    task_id = click.option(
        "--id",
        "task_id",
        metavar="ID",
        help="The task's id [default: a new UUID]. The same id with the same content is the same task.",
    )
    tags = click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag of the task; may be repeated.")
    return payload_options(task_id(tags(function)))


def request_of(
    home: Path,
    script: str,
    parameters: tuple[str, ...],
    source: str | None,
    task_id: str | None,
    tags: tuple[str, ...],
) -> Request:
    """Reads the deployment and the payload. Raises for a wrong deployment, an unknown script, an unreadable payload."""
    from worker.daemons.wiring import open_deployment
    from worker.model import TASK_ID

    if task_id is not None and not TASK_ID.match(task_id):
        raise click.UsageError(f"--id has the form {TASK_ID.pattern}, not {task_id[:80]!r}")
    for tag in tags:
        if not 0 < len(tag) <= _TAG_CHARS or not tag.isprintable():
            raise click.UsageError(f"a tag has 1 to {_TAG_CHARS} printable characters, not {tag[:80]!r}")
    deployment = open_deployment(home)
    prepared = script_of(deployment.catalog, script)
    if not prepared.script.enabled:
        raise Failure(exit_codes.NOT_ALLOWED, f"the script {script} is disabled")
    limit = prepared.script.limits.payload_bytes
    payload = payload_from(parameters, source, schema=prepared.schema, max_bytes=limit)
    # An id of our own, so that a submission whose answer was lost can be repeated.
    return Request(deployment, prepared, payload, task_id or str(uuid.uuid4()), tags)


async def submit_to(store: Store, request: Request) -> Accepted:
    """Record and publish. Raises PayloadError with every violation, Failure for a conflict."""
    from worker.broker import BrokerAway
    from worker.daemons.sources import publisher
    from worker.operations.submit import Conflict, submit

    try:
        submitted = await submit(
            request.prepared,
            request.payload,
            records=store.records,
            publisher=publisher(request.deployment, store),
            default_queue=request.deployment.settings.default_queue,
            trigger="cli",
            task_id=request.task_id,
            tags=request.tags,
        )
    except Conflict as error:
        raise Failure(exit_codes.DATA, f"conflict: {error}") from None
    except BrokerAway:
        # The error's text may hold the URL with its password.
        notice("the task is recorded, but the broker cannot be reached; a worker publishes it when it is back")
        return Accepted(request.task_id, True, False)
    return Accepted(submitted.task_id, submitted.created, True)
