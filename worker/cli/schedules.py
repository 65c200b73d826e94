"""`penstock schedules`: what runs by itself, and when."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli import exit_codes
from worker.cli.options import json_option
from worker.cli.schedule_fields import given, schedule_options
from worker.cli.site import pass_site
from worker.model.times import ms_of

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.schedule_door import ScheduleDoor
    from worker.schedules.decide import Timing

_T = TypeVar("_T")
# More lines than anybody reads.
_MOST = 100


@click.group("schedules")
def command() -> None:
    """List, try, make, change and trigger schedules.

    A schedule is a file config/schedules/NAME.yaml, or is kept in the store. What a file declares is changed there.
    Tasks are submitted by `penstock up` or `penstock beat`.

    \b
    Examples:
      penstock schedules preview '0 3 * * mon-fri' --timezone Europe/Berlin
      penstock schedules create nightly --script checksum-tree --cron @daily -p folder=docs
      penstock schedules list
      penstock schedules disable nightly
    """


@command.command("list")
@json_option("{schedules}")
@pass_site
def list_schedules(site: Site, as_json: bool) -> int:
    """List the schedules with their last and their next run, in local time.

    \b
    Examples:
      penstock schedules list
      penstock schedules list --json | jq -r '.schedules[] | select(.trouble).name'
    """
    from worker.cli.schedule_document import HEAD, row
    from worker.cli.terminal import print_json, table

    found = _asked(site, lambda schedules: schedules.list())
    if as_json:
        print_json({"schedules": found})
    else:
        click.echo(table(HEAD, [row(schedule) for schedule in found], sys.stdout, status=6), color=True)
    return exit_codes.COMPLETED


@command.command("show")
@click.argument("name")
@json_option("the schedule")
@pass_site
def show(site: Site, name: str, as_json: bool) -> int:
    """Show a schedule, and what became of it.

    \b
    Examples:
      penstock schedules show nightly
      penstock schedules show nightly --json | jq .nextRunAt
    """
    _show(_asked(site, lambda schedules: schedules.show(name)), as_json)
    return exit_codes.COMPLETED


@command.command("preview")
@click.argument("what", metavar="NAME|EXPRESSION")
@click.option("--timezone", metavar="ZONE", help="Whose clock an expression means [default: UTC].")
@click.option("-n", "count", metavar="N", type=click.IntRange(1, _MOST), default=10, help="How many [default: 10].")
@json_option("{timezone, times}")
@pass_site
def preview(site: Site, what: str, timezone: str | None, count: int, as_json: bool) -> int:
    """Print when a schedule, or an expression, is due next.

    An expression needs no store. Each line has the time by the clock of the time zone, and in UTC.

    \b
    Examples:
      penstock schedules preview nightly
      penstock schedules preview '30 2 * * *' --timezone Europe/Berlin -n 3
    """
    from datetime import UTC, datetime

    from worker.cli.terminal import print_json, table
    from worker.model.times import time_text

    timing = _timing(site, what, timezone)
    times = timing.next(round(datetime.now(UTC).timestamp() * 1000), count)
    if as_json:
        print_json({"timezone": timing.zone.key, "times": [time_text(at) for at in times]})
        return exit_codes.COMPLETED
    rows = [
        [datetime.fromtimestamp(at / 1000, timing.zone).strftime("%a %Y-%m-%d %H:%M %z"), time_text(at) or ""]
        for at in times
    ]
    click.echo(table([timing.zone.key, "UTC"], rows, sys.stdout), color=True)
    return exit_codes.COMPLETED


@command.command("create")
@click.argument("name")
@schedule_options
@click.option("--disabled", is_flag=True, help="It is not due before `schedules enable`.")
@json_option("the schedule")
@pass_site
def create(
    site: Site,
    /,
    name: str,
    disabled: bool,
    as_json: bool,
    parameters: tuple[str, ...],
    source: str | None,
    **fields: Any,
) -> int:
    """Make a schedule in the store.

    The payload is checked against the schema of the script or workflow now, and again whenever it is due. It acts as
    the local user, who may do everything, or as whose key is shown to a server. Exit code 65 with all that is wrong,
    or when there is one of that name.

    \b
    Examples:
      penstock schedules create nightly --script checksum-tree --cron '0 3 * * *' -p folder=docs
      penstock schedules create report --script render-report --cron @weekly --payload report.json --catch-up once
    """
    from worker.cli.schedule_door import Given

    asked = given(fields)
    if disabled:
        asked["enabled"] = False
    made = Given(asked, parameters, source)
    _show(_asked(site, lambda schedules: schedules.create(name, made)), as_json)
    return exit_codes.COMPLETED


@command.command("update")
@click.argument("name")
@schedule_options
@json_option("the schedule")
@pass_site
def update(
    site: Site, /, name: str, as_json: bool, parameters: tuple[str, ...], source: str | None, **fields: Any
) -> int:
    """Change what is given, and leave the rest.

    With -p or --payload the payload is another one, and not a change of the one before; it is not kept for another
    script or workflow. From then on it acts as who changed it. With another time nothing that passed is made up for.

    \b
    Examples:
      penstock schedules update nightly --cron '30 4 * * *' --timezone Europe/Berlin
    """
    from worker.cli.schedule_door import Given

    changed = Given(given(fields), parameters, source)
    _show(_asked(site, lambda schedules: schedules.update(name, changed)), as_json)
    return exit_codes.COMPLETED


def _switch(site: Site, names: tuple[str, ...], *, enabled: bool) -> int:
    async def switch(schedules: ScheduleDoor) -> None:
        for name in names:
            await schedules.switch(name, enabled=enabled)
            click.echo(f"{name} {'enabled' if enabled else 'disabled'}")

    _asked(site, switch)
    return exit_codes.COMPLETED


@command.command("enable")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_site
def enable(site: Site, names: tuple[str, ...]) -> int:
    """Let schedules be due again, from now on.

    What passed meanwhile is not made up for.

    \b
    Examples:
      penstock schedules enable nightly
    """
    return _switch(site, names, enabled=True)


@command.command("disable")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_site
def disable(site: Site, names: tuple[str, ...]) -> int:
    """Let schedules be due no more. What runs goes on.

    \b
    Examples:
      penstock schedules disable nightly
    """
    return _switch(site, names, enabled=False)


@command.command("delete")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_site
def delete(site: Site, names: tuple[str, ...]) -> int:
    """Delete schedules. Their tasks stay.

    \b
    Examples:
      penstock schedules delete nightly
    """

    async def delete(schedules: ScheduleDoor) -> None:
        for name in names:
            await schedules.delete(name)
            click.echo(f"{name} deleted")

    _asked(site, delete)
    return exit_codes.COMPLETED


@command.command("trigger")
@click.argument("name")
@pass_site
def trigger_one(site: Site, name: str) -> int:
    """Submit the task of a schedule now, or start its workflow, and print the id.

    As who asks, whatever runs already; its times stay as they are.

    \b
    Examples:
      penstock logs -f $(penstock schedules trigger nightly)
    """
    click.echo(_asked(site, lambda schedules: schedules.trigger(name)))
    return exit_codes.COMPLETED


def _asked(site: Site, call: Callable[[ScheduleDoor], Awaitable[_T]]) -> _T:
    async def main() -> _T:
        async with site.schedules() as schedules:
            return await call(schedules)

    return asyncio.run(main())


def _timing(site: Site, what: str, timezone: str | None) -> Timing:
    """Of an expression, which has blanks or an @, or of the schedule of that name."""
    from worker.cli.failure import Failure
    from worker.schedules.cron import Cron, CronError
    from worker.schedules.decide import Timing
    from worker.schedules.read import time_zone

    window: tuple[str | None, str | None] = (None, None)
    if " " not in what.strip() and not what.startswith("@"):
        found = _asked(site, lambda schedules: schedules.show(what))
        what, timezone = found["cronExpression"], found["timezone"]
        window = (found["startAt"], found["endAt"])
    try:
        start_at, end_at = (None if at is None else ms_of(at) for at in window)
        return Timing(Cron.parse(what), time_zone(timezone or "UTC"), start_at, end_at)
    except CronError as error:
        raise Failure(exit_codes.DATA, *error.problems) from None
    except (ValueError, OverflowError) as error:
        raise Failure(exit_codes.DATA, str(error)) from None


def _show(document: dict[str, Any], as_json: bool) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import print_json

    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if value not in ("", [], None):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            click.echo(f"{key + ':':<16}{printable(text, 4000)}")
