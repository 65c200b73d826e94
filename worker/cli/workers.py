"""`penstock workers`: who works, what each does, and whether it takes more."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from worker.cli import exit_codes
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.roster import Roster
    from worker.model.worker import Worker

_T = TypeVar("_T")
# How often it is looked whether a drained worker has ended what ran.
_LOOK_S = 0.3
_NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)
_WHY = click.option("--why", metavar="TEXT", default="", help="For whoever looks at the worker later.")


@click.group("workers")
def command() -> None:
    """List, drain, pause and remove workers.

    A worker is online, busy (something runs), draining, paused, or offline: not heard of for two beats. What is asked
    of a worker is kept under its name, also over a restart.

    \b
    Examples:
      penstock workers list
      penstock workers drain build-3 --why 'a new disk'
      penstock workers undrain build-3
    """


@command.command("list")
@click.option("--state", metavar="STATE", help="Only those: online, busy, draining, paused or offline.")
@json_option("{workers, conflicts, total}")
@pass_site
def list_workers(site: Site, state: str | None, as_json: bool) -> int:
    """List the workers, and what those of one queue disagree on.

    \b
    Examples:
      penstock workers list
      penstock workers list --state offline --json | jq -r '.workers[].name'
    """
    from msgspec.structs import replace

    from worker.cli.failure import unknown
    from worker.cli.notice import notice
    from worker.cli.terminal import print_json, table
    from worker.cli.worker_document import HEAD, of_fleet, row, sentence
    from worker.model.worker import WorkerState

    if state is not None and state not in (states := [each.value for each in WorkerState]):
        raise unknown("state", state, states)
    found = _asked(site, lambda roster: roster.all())
    if state is not None:
        found = replace(found, workers=tuple(worker for worker in found.workers if worker.state == state))
    if as_json:
        print_json(of_fleet(found))
    else:
        click.echo(table(HEAD, [row(worker) for worker in found.workers], sys.stdout), color=True)
        for conflict in found.conflicts:
            notice(sentence(conflict))
    return exit_codes.COMPLETED


@command.command("show")
@click.argument("name")
@json_option("the worker")
@pass_site
def show(site: Site, name: str, as_json: bool) -> int:
    """Show a worker, and the scripts that it runs.

    \b
    Examples:
      penstock workers show build-3
      penstock workers show build-3 --json | jq '.scripts[].script'
    """
    _show(_asked(site, lambda roster: roster.get(name)), as_json)
    return exit_codes.COMPLETED


@command.command("drain")
@_NAMES
@_WHY
@click.option("--wait", is_flag=True, help="Until nothing runs there any more.")
@json_option("{workers}")
@pass_site
def drain(site: Site, names: tuple[str, ...], why: str, wait: bool, as_json: bool) -> int:
    """Let workers finish what runs and take nothing more, until `undrain`.

    What waits is for others, and so is what is addressed to labels that it has. With --wait a worker that is taken up
    again meanwhile is exit code 75; one that goes offline runs nothing any more.

    \b
    Examples:
      penstock workers drain build-3 --why 'a new disk'
      penstock workers drain build-3 --wait && ssh build-3 reboot
    """
    return _ask(site, names, "drain", why, as_json, wait=wait)


@command.command("undrain")
@_NAMES
@json_option("{workers}")
@pass_site
def undrain(site: Site, names: tuple[str, ...], as_json: bool) -> int:
    """Let workers take tasks again after `drain`.

    \b
    Examples:
      penstock workers undrain build-3
    """
    return _ask(site, names, "undrain", "", as_json)


@command.command("pause")
@_NAMES
@_WHY
@json_option("{workers}")
@pass_site
def pause(site: Site, names: tuple[str, ...], why: str, as_json: bool) -> int:
    """Let workers take nothing for a while, until `resume`.

    As drain, but for who addresses tasks it stays a worker that will come to them.

    \b
    Examples:
      penstock workers pause build-3
    """
    return _ask(site, names, "pause", why, as_json)


@command.command("resume")
@_NAMES
@json_option("{workers}")
@pass_site
def resume(site: Site, names: tuple[str, ...], as_json: bool) -> int:
    """Let workers take tasks again after `pause`.

    One that has too little disk or memory resumes by itself, and not before.

    \b
    Examples:
      penstock workers resume build-3
    """
    return _ask(site, names, "resume", "", as_json)


@command.command("logs")
@click.argument("name")
@click.option("-n", "lines", type=click.IntRange(1, 1000), default=100, show_default=True, help="The newest so many.")
@json_option("{name, lines}")
@pass_site
def logs(site: Site, name: str, lines: int, as_json: bool) -> int:
    """Print the end of a worker's own log, wherever it runs.

    The worker reads it from its log.file. Exit code 69 when it keeps none, or does not answer within five seconds.

    \b
    Examples:
      penstock workers logs build-3
      penstock workers logs build-3 -n 1000 | grep '"level": "error"'
    """
    from engine.log.text import printable
    from worker.cli.terminal import print_json

    found = _asked(site, lambda roster: roster.log(name, lines))
    if as_json:
        print_json({"name": name, "lines": found})
        return exit_codes.COMPLETED
    for line in found:
        click.echo(printable(line, 100_000))
    return exit_codes.COMPLETED


@command.command("remove")
@_NAMES
@pass_site
def remove(site: Site, names: tuple[str, ...]) -> int:
    """Forget workers that are gone, and what was asked of them.

    Exit code 65 for one that lives. Those that were not heard of for retention.age are forgotten by themselves.

    \b
    Examples:
      penstock workers remove build-3
    """

    async def call(roster: Roster) -> None:
        for name in names:
            await roster.remove(name)
            click.echo(f"{name} removed")

    _asked(site, call)
    return exit_codes.COMPLETED


def _ask(site: Site, names: tuple[str, ...], verb: str, why: str, as_json: bool, *, wait: bool = False) -> int:
    from worker.cli.terminal import print_json
    from worker.cli.worker_document import of_worker

    async def call(roster: Roster) -> list[Worker]:
        found = []
        for name in names:
            found.append(await roster.ask(name, verb, why))
            if not as_json:
                click.echo(f"{name}: {verb} asked for")
        return [await _drained(roster, worker, as_json) for worker in found] if wait else found

    found = _asked(site, call)
    if as_json:
        print_json({"workers": [of_worker(worker) for worker in found]})
    return exit_codes.COMPLETED


async def _drained(roster: Roster, worker: Worker, quiet: bool) -> Worker:
    """As soon as nothing runs there. What a worker says of itself it says with one beat: the number is no older."""
    from worker.cli.failure import Failure
    from worker.model.worker import WorkerState

    rests = (WorkerState.DRAINING, WorkerState.OFFLINE)
    while worker.state not in rests or (worker.live and worker.pulse.running):
        if worker.wishes.drain is None:
            raise Failure(exit_codes.TRY_AGAIN, f"{worker.name} is not drained any more")
        await asyncio.sleep(_LOOK_S)
        worker = await roster.get(worker.name)
    if not quiet:
        click.echo(f"{worker.name}: {'drained' if worker.live else 'offline'}")
    return worker


def _asked(site: Site, call: Callable[[Roster], Awaitable[_T]]) -> _T:
    async def main() -> _T:
        async with site.workers() as roster:
            return await call(roster)

    return asyncio.run(main())


def _show(worker: Worker, as_json: bool) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import print_json
    from worker.cli.worker_document import of_worker

    document = of_worker(worker)
    if as_json:
        print_json(document)
        return
    scripts = document.pop("scripts", None) or []
    for key, value in document.items():
        if value not in ("", [], None):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            click.echo(f"{key + ':':<14}{printable(text, 4000)}")
    for each in scripts:
        click.echo(f"{'script:':<14}{printable(each['script'])} {each['digest'][:12]} ({printable(each['queue'])})")
