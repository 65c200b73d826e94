"""`penstock logs`: the log of a task, kept or live."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Door, Site
    from worker.cli.follow import Place
    from worker.cli.grouped import Grouped
    from worker.cli.output import LogOutput
    from worker.model.task import Run, Task

# What a running task has written so far comes at once; after this long without more that was all.
_SO_FAR_S = 0.5


@click.command("logs")
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the task has ended.")
@click.option("--run", "number", metavar="N", type=click.IntRange(0), help="The log of this run [default: the newest].")
@click.option("--tail", metavar="N", type=click.IntRange(0), help="Only the last N lines of what is there.")
@pass_site
def command(site: Site, task_id: str, following: bool, number: int | None, tail: int | None) -> int:
    """Print the log of a task.

    Of one for several workers, the logs of all: each line as `[worker] line`, one worker after the other, or with -f as
    they come.

    While the task runs: what there is so far, or with -f also what comes. To a terminal control sequences other than
    colours are made visible; to a pipe or a file every byte is as the command wrote it.

    \b
    Examples:
      penstock logs report-2026-11
      penstock logs -f --tail 20 report-2026-11
      penstock logs report-2026-11 --run 0 > first-try.log
    """
    from worker.cli.interrupt import interruptible

    return asyncio.run(interruptible(_logs(site, task_id, following, number, tail)))


async def _logs(site: Site, task_id: str, following: bool, number: int | None, tail: int | None) -> int:
    from worker.cli.door import run_of
    from worker.cli.output import LogOutput
    from worker.cli.progress_bar import ProgressBar

    async with site.open() as door:
        task = await door.task(task_id)
        run = run_of(task, number)
        output = LogOutput(sys.stdout, ProgressBar.on(sys.stderr) if following else None)
        missing = False
        try:
            if task.children:
                missing = await _print_all(door, task, output, following, tail)
            elif run.status.final:
                await _print_kept(door, task, run, output, tail)
            else:
                await _print_live(door, task, run, output, following, tail)
        finally:
            await output.close()
        if output.gone:
            return exit_codes.BROKEN_PIPE
        return exit_codes.NO_INPUT if missing else exit_codes.COMPLETED


async def _print_all(door: Door, parent: Task, output: LogOutput, following: bool, tail: int | None) -> bool:
    """The logs of all that it stands for. Whether one is missing, which is told and keeps no other away."""
    from worker.cli.failure import Failure
    from worker.cli.grouped import Grouped, children_of, follow_all
    from worker.cli.notice import notice

    if following and not parent.status.final:
        if tail is not None:
            raise Failure(exit_codes.USAGE, "--tail with -f is for the log of one worker: give the id of its own task")
        await follow_all(door, parent, output, output.telling(notice))
        return False
    missing = False
    for child, task in zip(parent.children, await children_of(door, parent), strict=True):
        try:
            if task is None:
                raise Failure(exit_codes.NO_INPUT, f"task {child.task_id} is not kept any more")
            run, grouped = task.runs[-1], Grouped(child.worker, output)
            if run.status.final:
                await _print_kept(door, task, run, grouped, tail)
            else:
                await _print_live(door, task, run, grouped, False, tail)
        except Failure as failure:
            if failure.exit_code != exit_codes.NO_INPUT:
                raise
            notice(f"[{child.worker}] {failure}")
            missing = True
    return missing


async def _print_kept(door: Door, task: Task, run: Run, output: LogOutput | Grouped, tail: int | None) -> None:
    from worker.cli.failure import Failure

    try:
        file = await door.kept_log(task.id, run)
    except FileNotFoundError:
        if run.log_bytes:
            message = f"the log of task {task.id} is not here: it is kept where its worker runs, or was removed"
            raise Failure(exit_codes.NO_INPUT, message) from None
        return
    if tail is None:
        output.copy(file)
    else:
        with file:
            output.write(await asyncio.to_thread(_last_lines, file, tail))


async def _print_live(
    door: Door, task: Task, run: Run, output: LogOutput | Grouped, following: bool, tail: int | None
) -> None:
    from worker.cli.follow import Place, follow, patiently
    from worker.cli.notice import notice

    place = Place(run.number, whole=False)
    if not following or tail is not None:
        look = partial(_so_far, door, task.id, run.number)
        so_far, place = await (patiently(look, notice, door.patience_s) if following else look())
        if not following and not so_far:
            notice(f"task {task.id} is {run.status.value} and has written nothing so far")
        output.write(so_far if tail is None else _last_lines(so_far.splitlines(keepends=True), tail))
    if following:
        await follow(door, task.id, output, output.telling(notice), place)


async def _so_far(door: Door, task_id: str, number: int) -> tuple[bytes, Place]:
    """What the live log has now, and the place behind it."""
    from worker.cli.follow import Place
    from worker.model.live_log import LiveGap, LiveLines

    place = Place(number, whole=False)
    found: list[bytes] = []
    begun_ms = time.time_ns() // 1_000_000
    async with aclosing(door.live_log(task_id, place.run, place.after)) as parts:
        while True:
            asked = asyncio.ensure_future(anext(parts, None))
            await asyncio.wait({asked}, timeout=_SO_FAR_S)
            if not asked.done():
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
                break
            match asked.result():
                case LiveLines() as part:
                    found.append(part.chunk.data)
                    place.shown += len(part.chunk.data)
                    place.after = part.id
                    if part.chunk.time_ms > begun_ms:
                        break
                case LiveGap() as part:
                    place.shown += part.lost_bytes
                    place.after = part.id
                case _:
                    break
    return b"".join(found), place


def _last_lines(lines: Iterable[bytes], count: int) -> bytes:
    return b"".join(deque(lines, maxlen=count))
