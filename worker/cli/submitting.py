"""Submitting: from the arguments of `submit` and `run` to a recorded task."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from msgspec import Struct

from worker.cli.moment import Moment, MomentType
from worker.cli.options import payload_options

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.model.target import Target

_F = TypeVar("_F", bound=Callable[..., Any])
# What a listing shows is kept short, as is what a record keeps.
_TAG_CHARS = 100
_KEY_CHARS = 200


class TaskOptions(Struct, frozen=True):
    """What `task_options` ask for, besides the payload."""

    task_id: str | None
    tags: tuple[str, ...]
    priority: int
    due: Moment | None
    deadline: Moment | None
    key: str | None
    target: Target | None = None


class Request(Struct, frozen=True):
    """A task that is wanted. `payload` is UTF-8 JSON and not checked yet."""

    script: str
    payload: bytes
    task_id: str
    options: TaskOptions
    command: bool = False
    """It is one of the product's own for operators, `exec` or `shell`, and `payload` what is asked of it."""

    def times(self, now_ms: int) -> tuple[int | None, int | None]:
        """When it is due, and its deadline, in milliseconds; durations count from `now_ms`."""
        due, deadline = self.options.due, self.options.deadline
        due_at = due.ms(now_ms) if due else None
        deadline_at = deadline.ms(now_ms) if deadline else None
        if deadline_at is not None and deadline_at <= max(now_ms, due_at or 0):
            raise click.UsageError("the deadline has passed before the task can start")
        return due_at, deadline_at


class Accepted(Struct, frozen=True):
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
        targets: tuple[str, ...],
        yes: bool,
        **kwargs: Any,
    ) -> Any:
        if delay and at:
            raise click.UsageError("--delay and --at say the same: give one of them")
        target = target_from(targets, yes=yes) if targets else None
        options = TaskOptions(task_id, tags, priority, delay or at, deadline, key, target)
        return function(*args, options=options, **kwargs)

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
    click.option(
        "--target",
        "targets",
        metavar="TARGET",
        multiple=True,
        help="For whom it is: a worker's name, a label such as group:web.dev (may be repeated; all have to match), "
        "_all, or _any [default].",
    ),
    click.option("--yes", is_flag=True, help="With --target _all: do not ask."),
)


def target_from(texts: tuple[str, ...], *, yes: bool) -> Target | None:
    """Whoever means all workers is asked, or has said so."""
    from worker.cli.asking import can_ask
    from worker.model.target import ALL, NotATarget, Target, parse_target

    try:
        target = parse_target(texts)
    except NotATarget as error:
        raise click.UsageError(f"--target: {error}") from None
    if target == Target() and not yes:
        if not can_ask():
            raise click.UsageError(f"--target {ALL} runs on every worker: say --yes where nobody can be asked")
        click.confirm("Run it on every worker?", abort=True, err=True)
    return target


def check_tags(tags: tuple[str, ...]) -> None:
    """Raises UsageError."""
    for tag in tags:
        if not 0 < len(tag) <= _TAG_CHARS or not tag.isprintable():
            raise click.UsageError(f"a tag has 1 to {_TAG_CHARS} printable characters, not {tag[:80]!r}")


def request_of(
    site: Site, script: str, parameters: tuple[str, ...], source: str | None, options: TaskOptions
) -> Request:
    """Reads the script and the payload. Raises for a wrong deployment, an unknown script, an unreadable payload."""
    import asyncio

    from worker.cli.payload import payload_from
    from worker.model.task import TASK_ID

    task_id, tags = options.task_id, options.tags
    if task_id is not None and not TASK_ID.match(task_id):
        raise click.UsageError(f"--id has the form {TASK_ID.pattern}, not {task_id[:80]!r}")
    check_tags(tags)
    if options.key is not None and not (0 < len(options.key) <= _KEY_CHARS and options.key.isprintable()):
        raise click.UsageError(f"an idempotency key has 1 to {_KEY_CHARS} printable characters")
    form = asyncio.run(site.form(script, typed=bool(parameters)))
    payload = payload_from(parameters, source, form=form)
    # An id of our own, so that a submission whose answer was lost can be repeated.
    return Request(script, payload, task_id or str(uuid.uuid4()), options)
