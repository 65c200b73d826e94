"""`penstock watch`: the newest tasks, live."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from worker.cli.options import STATUSES, ScriptName
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Door, Site
    from worker.model.status import Status

# The other screen of the terminal, without a cursor; and back.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command("watch")
@click.option("--script", metavar="SCRIPT", type=ScriptName(), help="Only tasks of this script.")
@click.option("--status", type=click.Choice(STATUSES), help="Only tasks with this status.")
@click.option(
    "--every",
    "every_s",
    metavar="SECONDS",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    help="Look again after so long [default: 1].",
)
@pass_site
def command(site: Site, script: str | None, status: str | None, every_s: float) -> int:
    """Show the newest tasks, live.

    A table that fills the terminal and is drawn anew every second, until Ctrl-C. While nobody answers it keeps what it
    has, and says so. Without a terminal there is nothing to draw on: use `penstock tasks`.

    \b
    Examples:
      penstock watch
      penstock watch --script sign-file --status running
    """
    from worker.cli.interrupt import interruptible

    if not sys.stdout.isatty():
        raise click.UsageError("watch draws on a terminal; elsewhere use `penstock tasks`")
    return asyncio.run(interruptible(_watch(site, script, status, every_s)))


async def _watch(site: Site, script: str | None, status: str | None, every_s: float) -> int:
    from worker.cli.door import Away, Busy
    from worker.model.status import Status

    wanted = Status(status) if status else None
    async with site.open() as door:
        lines = await _lines(door, script, wanted)  # what is wrong from the beginning is told as by other commands
        after_s = 0.0
        with _other_screen():
            while True:
                _draw(lines)
                await asyncio.sleep(max(every_s, after_s))
                after_s = 0.0
                try:
                    lines = await _lines(door, script, wanted)
                except (Away, Busy) as error:
                    lines = [error.state, *lines[1:]]
                    after_s = min(error.after_s, door.patience_s)


async def _lines(door: Door, script: str | None, status: Status | None) -> list[str]:
    from worker.cli.tasks import rows_of
    from worker.cli.terminal import painted_status, table

    seen = await door.overview()
    page = await door.tasks(script=script, status=status, limit=max(1, _size().lines - 3), before=None)
    counts = [f"{count} {painted_status(each.value, sys.stdout)}" for each, count in seen.tasks.items() if count]
    workers = "" if seen.workers is None else f"; {len(seen.workers)} workers"
    waiting = sum(queue.waiting or 0 for queue in seen.queues)
    head, rows = rows_of(page)
    return [
        f"{', '.join(counts) or 'no tasks'}; {waiting} in queues{workers}",
        "",
        *table(head, rows, sys.stdout, status=2).splitlines(),
    ]


def _draw(lines: list[str]) -> None:
    size = _size()
    shown = [_cut(line, size.columns) + _REST_OF_LINE for line in lines[: size.lines - 1]]
    sys.stdout.write(_HOME + "\r\n".join(shown) + _REST_OF_SCREEN)
    sys.stdout.flush()


def _cut(line: str, columns: int) -> str:
    """No line may go on in the next. A painted one is cut by its text."""
    plain = click.unstyle(line)
    return line if len(plain) < columns else plain[: columns - 1]


def _size() -> os.terminal_size:
    return shutil.get_terminal_size()


@contextmanager
def _other_screen() -> Iterator[None]:
    sys.stdout.write(_ENTER)
    try:
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
