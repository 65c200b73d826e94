"""`penstock schedules`: what runs by itself, and when."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli import exit_codes
from worker.cli.options import json_option
from worker.cli.schedule_fields import changed, given, schedule_options

if TYPE_CHECKING:
    from worker.daemons.wiring import Deployment, Store
    from worker.model.schedule import Schedule
    from worker.schedules.change import Changing
    from worker.schedules.submitting import Submitting
    from worker.schedules.view import ScheduleView

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
@click.pass_obj
def list_schedules(home: Path, as_json: bool) -> int:
    """List the schedules with their last and their next run, in local time.

    \b
    Examples:
      penstock schedules list
      penstock schedules list --json | jq -r '.schedules[] | select(.trouble).name'
    """
    from worker.cli.schedule_document import HEAD, of_schedule, row
    from worker.cli.terminal import print_json, table

    async def read(changing: Changing, opened: _Opened) -> tuple[ScheduleView, ...]:
        return await opened.views(await changing.all())

    found = _asked(home, read)
    if as_json:
        print_json({"schedules": [of_schedule(view) for view in found]})
    else:
        click.echo(table(HEAD, [row(view) for view in found], sys.stdout, status=6), color=True)
    return exit_codes.COMPLETED


@command.command("show")
@click.argument("name")
@json_option("the schedule")
@click.pass_obj
def show(home: Path, name: str, as_json: bool) -> int:
    """Show a schedule, and what became of it.

    \b
    Examples:
      penstock schedules show nightly
      penstock schedules show nightly --json | jq .nextRunAt
    """

    async def read(changing: Changing, opened: _Opened) -> ScheduleView:
        [view] = await opened.views([await changing.find(name)])
        return view

    _show(_asked(home, read), as_json)
    return exit_codes.COMPLETED


@command.command("preview")
@click.argument("what", metavar="NAME|EXPRESSION")
@click.option("--timezone", metavar="ZONE", help="Whose clock an expression means [default: UTC].")
@click.option("-n", "count", metavar="N", type=click.IntRange(1, _MOST), default=10, help="How many [default: 10].")
@json_option("{timezone, times}")
@click.pass_obj
def preview(home: Path, what: str, timezone: str | None, count: int, as_json: bool) -> int:
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

    timing = _timing(home, what, timezone)
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
@click.pass_obj
def create(
    home: Path,
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
    the local user, who may do everything. Exit code 65 with all that is wrong, or when there is one of that name.

    \b
    Examples:
      penstock schedules create nightly --script checksum-tree --cron '0 3 * * *' -p folder=docs
      penstock schedules create report --script render-report --cron @weekly --payload report.json --catch-up once
    """
    from worker.cli.local import local_principal

    value = given(fields)
    if disabled:
        value["enabled"] = False

    async def make(changing: Changing, opened: _Opened) -> ScheduleView:
        value["payload"] = await opened.payload(value, parameters, source)
        made = await changing.create(await changing.read(name, value, local_principal()))
        await opened.record("schedules.create", name)
        [view] = await opened.views([made])
        return view

    _show(_asked(home, make), as_json)
    return exit_codes.COMPLETED


@command.command("update")
@click.argument("name")
@schedule_options
@json_option("the schedule")
@click.pass_obj
def update(
    home: Path, /, name: str, as_json: bool, parameters: tuple[str, ...], source: str | None, **fields: Any
) -> int:
    """Change what is given, and leave the rest.

    With -p or --payload the payload is another one, and not a change of the one before. From then on it acts as the
    local user. With another time nothing that passed is made up for.

    \b
    Examples:
      penstock schedules update nightly --cron '30 4 * * *' --timezone Europe/Berlin
    """
    from worker.cli.local import local_principal
    from worker.schedules.read import written

    async def change(changing: Changing, opened: _Opened) -> ScheduleView:
        value = changed(written(await changing.find(name)), given(fields))
        if parameters or source:
            value["payload"] = await opened.payload(value, parameters, source)
        made = await changing.update(await changing.read(name, value, local_principal()))
        await opened.record("schedules.update", name)
        [view] = await opened.views([made])
        return view

    _show(_asked(home, change), as_json)
    return exit_codes.COMPLETED


def _switch(home: Path, names: tuple[str, ...], *, enabled: bool) -> int:
    from worker.cli.local import local_principal

    async def change(changing: Changing, opened: _Opened) -> None:
        for name in names:
            await changing.switch(name, local_principal(), enabled=enabled)
            await opened.record(f"schedules.{'enable' if enabled else 'disable'}", name)
            click.echo(f"{name} {'enabled' if enabled else 'disabled'}")

    _asked(home, change)
    return exit_codes.COMPLETED


@command.command("enable")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.pass_obj
def enable(home: Path, names: tuple[str, ...]) -> int:
    """Let schedules be due again, from now on.

    What passed meanwhile is not made up for.

    \b
    Examples:
      penstock schedules enable nightly
    """
    return _switch(home, names, enabled=True)


@command.command("disable")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.pass_obj
def disable(home: Path, names: tuple[str, ...]) -> int:
    """Let schedules be due no more. What runs goes on.

    \b
    Examples:
      penstock schedules disable nightly
    """
    return _switch(home, names, enabled=False)


@command.command("delete")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.pass_obj
def delete(home: Path, names: tuple[str, ...]) -> int:
    """Delete schedules. Their tasks stay.

    \b
    Examples:
      penstock schedules delete nightly
    """

    async def remove(changing: Changing, opened: _Opened) -> None:
        for name in names:
            await changing.remove(name)
            await opened.record("schedules.delete", name)
            click.echo(f"{name} deleted")

    _asked(home, remove)
    return exit_codes.COMPLETED


@command.command("trigger")
@click.argument("name")
@click.pass_obj
def trigger_one(home: Path, name: str) -> int:
    """Submit the task of a schedule now, or start its workflow, and print the id.

    As the local user, whatever runs already; its times stay as they are.

    \b
    Examples:
      penstock logs -f $(penstock schedules trigger nightly)
    """
    from worker.cli.local import local_principal
    from worker.schedules.submitting import trigger

    async def submit(changing: Changing, opened: _Opened) -> str:
        id = await trigger(await changing.find(name), local_principal(), changing.catalog, opened.by)
        await opened.record("schedules.trigger", name, id)
        return id

    click.echo(_asked(home, submit))
    return exit_codes.COMPLETED


class _Opened:
    """The deployment and its store, for one command."""

    def __init__(self, deployment: Deployment, store: Store, changing: Changing, by: Submitting) -> None:
        self.deployment = deployment
        self.store = store
        self.changing = changing
        self.by = by

    async def views(self, found: Any) -> tuple[ScheduleView, ...]:
        from worker.schedules.view import views

        return await views(found, self.changing, self.by.launched)

    async def payload(
        self, fields: Mapping[str, Any], parameters: tuple[str, ...], source: str | None
    ) -> dict[str, Any]:
        from worker.cli.door import Form
        from worker.cli.payload import payload_from

        prepared = self.deployment.catalog.get(fields.get("script") or "")
        target = await self.by.workflows.get(fields.get("workflow") or "")
        if prepared is not None:
            form = Form(prepared.schema.document, prepared.script.limits.payload_bytes)
        elif target is not None:
            form = Form(target.schema.document, target.payload_bytes)
        else:
            return {}  # which is told with all else that is wrong
        found: dict[str, Any] = json.loads(payload_from(parameters, source, form=form))
        return found

    async def record(self, action: str, name: str, detail: str = "") -> None:
        from worker.cli.local import entry, record

        await record(self.deployment.settings, self.store, [entry(action, name, detail=detail)])


def _asked(home: Path, call: Callable[[Changing, _Opened], Awaitable[_T]]) -> _T:
    async def main() -> _T:
        async with _open(home) as (changing, opened):
            with _failures():
                return await call(changing, opened)

    return asyncio.run(main())


@asynccontextmanager
async def _open(home: Path) -> AsyncIterator[tuple[Changing, _Opened]]:
    from worker.cli.deployment import opened
    from worker.daemons.driving import workflow_definitions
    from worker.daemons.scheduled import targets_of
    from worker.daemons.ticking import submitting
    from worker.daemons.wiring import open_deployment, registered_scripts
    from worker.schedules.change import Changing
    from worker.schedules.files import folder_of, load_schedules

    deployment = open_deployment(home)
    async with opened(deployment.settings) as store:
        definitions = workflow_definitions(deployment, store)
        files = load_schedules(folder_of(home), deployment.catalog, targets_of(definitions.files))
        await registered_scripts(deployment, store).look()
        by = submitting(deployment, store, definitions, log=False)
        changing = Changing(by.schedules, deployment.catalog, by.workflows, files)
        yield changing, _Opened(deployment, store, changing, by)


@contextmanager
def _failures() -> Iterator[None]:
    from worker.cli.failure import Failure
    from worker.operations.submit import ScriptDisabled
    from worker.schedules.change import ReadOnly, UnknownSchedule
    from worker.schedules.target import NotSubmitted
    from worker.store.schedules import ScheduleChanged, ScheduleExists, TooManySchedules

    try:
        yield
    except UnknownSchedule as error:
        raise Failure(exit_codes.NO_INPUT, str(error)) from None
    except (ReadOnly, ScheduleChanged, ScheduleExists, TooManySchedules, NotSubmitted) as error:
        raise Failure(exit_codes.DATA, str(error)) from None
    except ScriptDisabled as error:
        raise Failure(exit_codes.NOT_ALLOWED, str(error)) from None


def _timing(home: Path, what: str, timezone: str | None) -> Any:
    """Of an expression, which has blanks or an @, or of the schedule of that name."""
    from worker.cli.failure import Failure
    from worker.schedules.cron import Cron, CronError
    from worker.schedules.decide import Timing
    from worker.schedules.read import time_zone

    if " " not in what.strip() and not what.startswith("@"):

        async def find(changing: Changing, _: _Opened) -> Schedule:
            return await changing.find(what)

        return Timing.of(_asked(home, find))
    try:
        return Timing(Cron.parse(what), time_zone(timezone or "UTC"), None, None)
    except CronError as error:
        raise Failure(exit_codes.DATA, *error.problems) from None
    except ValueError as error:
        raise Failure(exit_codes.DATA, str(error)) from None


def _show(view: ScheduleView, as_json: bool) -> None:
    from engine.log.text import printable
    from worker.cli.schedule_document import of_schedule
    from worker.cli.terminal import print_json

    document = of_schedule(view)
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if value not in ("", [], None):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            click.echo(f"{key + ':':<16}{printable(text, 4000)}")
