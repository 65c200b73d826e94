"""Schedule fields: the options of `schedules create` and `schedules update`, as the fields of a declaration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from worker.cli.options import ScriptName, payload_options
from worker.model.schedule import CATCH_UPS, MOST_CAUGHT_UP, OVERLAPS

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--script", metavar="SCRIPT", type=ScriptName(), help="What is run; or:"),
    click.option("--workflow", metavar="WORKFLOW", help="What is started."),
    click.option("--cron", "cronExpression", metavar="EXPRESSION", help="When; such as '0 3 * * mon-fri' or @daily."),
    click.option("--timezone", metavar="ZONE", help="Whose clock that means, such as Europe/Berlin [default: UTC]."),
    click.option("--overlap", type=click.Choice(OVERLAPS), help="While the task before has not ended [default: skip]."),
    click.option("--catch-up", "catchUp", type=click.Choice(CATCH_UPS), help="What was missed [default: none]."),
    click.option(
        "--catch-up-limit",
        "catchUpLimit",
        metavar="N",
        type=click.IntRange(1, MOST_CAUGHT_UP),
        help="At most so many of them [default: 10].",
    ),
    click.option("--jitter", metavar="DURATION", help="Start up to so long after the time."),
    click.option("--start-at", "startAt", metavar="TIME", help="Not before; ISO 8601."),
    click.option("--end-at", "endAt", metavar="TIME", help="Not after; ISO 8601."),
    click.option("--description", metavar="TEXT", help="What it is for."),
    click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag of its tasks; may be repeated."),
    click.option("--target", metavar="TARGET", multiple=True, help="For whom its tasks are, as of `penstock run`."),
)


def schedule_options(function: _F) -> _F:
    """As keyword arguments that are named as the fields; what is not given is None or ()."""
    decorated: Any = function
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast("_F", payload_options(decorated))


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """Of the options those that were given."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value not in (None, ())
    }
