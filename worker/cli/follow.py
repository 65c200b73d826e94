"""Follow: the log of a task as it comes, to its end; what the live view missed is taken from the log that is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TypeVar

from msgspec import Struct

from worker.cli.door import Away, Busy, Door
from worker.cli.failure import Failure
from worker.cli.output import Shown
from worker.cli.terminal import local_time
from worker.model.live_log import LiveEnd, LiveGap, LiveLines
from worker.model.status import FINAL
from worker.model.task import Run, Task

_T = TypeVar("_T")

# After this long without a worker people want to know what they wait for.
_WAITING_S = 2.0
# The record is looked at this often once the log has ended: at first at once, later seldom.
_FIRST_LOOK_S = 0.01
_MOST_SELDOM_S = 1.0
# Who does not answer is asked again after that, and then more and more seldom.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


class Place(Struct):
    """Where a reader is: `after` for the live view of that run's log, and so many bytes of the log.

    `whole`: no byte may be left out, so that after a gap in the live view (`gap`) the rest waits for the log that is
    kept. Else a gap is told and passed over.
    """

    run: int
    after: str = "0"
    shown: int = 0
    whole: bool = True
    gap: bool = False


async def follow(
    door: Door,
    task_id: str,
    output: Shown | None,
    tell: Callable[[str], None],
    place: Place,
    *,
    patience_s: float | None = None,
) -> Task:
    """Show the log from `place` on, with all further runs, until the task is final; its record.

    `place` moves along. `output` None shows nothing and only waits. `tell` hears what a person should know besides.
    Raises Away or Busy when it gets no answer for `patience_s` (of the door, unless given), Failure (66) when the task
    was removed meanwhile.
    """
    patience_s = door.patience_s if patience_s is None else patience_s
    async with _waiting_told(door, task_id, tell):
        while True:
            read = partial(_follow_run, door, task_id, output, tell, place)
            await patiently(read, tell, patience_s)
            task = await patiently(partial(_ended, door, task_id, place.run), tell, patience_s)
            run = task.runs[place.run]
            if output:
                await _show_rest(door, task_id, run, output, tell, place, patience_s)
            if task.status in FINAL and task.runs[-1].number == place.run:
                return task
            tell(f"run {run.number} ended: {run.status.value} ({run.reason}); another one follows")
            place.run, place.after, place.shown, place.gap = place.run + 1, "0", 0, False


async def _follow_run(
    door: Door, task_id: str, output: Shown | None, tell: Callable[[str], None], place: Place
) -> None:
    async with aclosing(door.live_log(task_id, place.run, place.after)) as parts:
        async for part in parts:
            place.after = part.id
            match part:
                case LiveLines() if not place.gap:
                    if output:
                        kept, shown = door.kept_bytes(part.id), output.show(part.chunk)
                        place.shown = place.shown + shown if kept is None else kept
                case LiveGap() if not place.whole:
                    place.shown += part.lost_bytes
                    tell(f"{part.lost_bytes} bytes are not shown here; the kept log has them when the run has ended")
                case LiveGap() if not place.gap:
                    place.gap = True
                    if output:
                        tell("the log is written faster than it can be shown; the rest follows at the end")
                case LiveEnd():
                    return


async def patiently(call: Callable[[], Awaitable[_T]], tell: Callable[[str], None], patience_s: float) -> _T:
    """Call again while there is no answer, for a while, and not before it is asked for.

    For calls that go on where they were.
    """
    loop = asyncio.get_running_loop()
    away_since_s: float | None = None
    pause_s = _FIRST_PAUSE_S
    while True:
        called_s = loop.time()
        try:
            return await call()
        except (Away, Busy) as error:
            # A call that lasted has found the store there in between.
            if away_since_s is None or loop.time() - called_s > patience_s:
                away_since_s, pause_s = loop.time(), _FIRST_PAUSE_S
                tell(error.state)
            left_s = away_since_s + patience_s - loop.time()
            if left_s < 0 or error.after_s > left_s:
                raise
            await asyncio.sleep(max(pause_s, error.after_s))
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)


async def _ended(door: Door, task_id: str, number: int) -> Task:
    """The record, once that run is final. The end of its log may be seen before that."""
    pause_s = _FIRST_LOOK_S
    while True:
        task = await door.task(task_id)
        for run in task.runs:
            if run.number == number and run.status in FINAL:
                return task
        await asyncio.sleep(pause_s)
        pause_s = min(_MOST_SELDOM_S, pause_s * 2)


async def _show_rest(
    door: Door,
    task_id: str,
    run: Run,
    output: Shown,
    tell: Callable[[str], None],
    place: Place,
    patience_s: float,
) -> None:
    """What of the finished log was not seen live."""
    if place.shown >= run.log_bytes:
        output.end_line()
        return
    output.end_line(drop=True)  # it is in the rest
    try:
        file = await patiently(partial(door.kept_log, task_id, run, place.shown), tell, patience_s)
    except FileNotFoundError:
        tell(f"{run.log_bytes - place.shown} bytes of the log are not shown: it is kept where the worker ran")
        return
    output.copy(file)
    place.shown = run.log_bytes


@asynccontextmanager
async def _waiting_told(door: Door, task_id: str, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Say once what is waited for when nobody takes the task."""

    async def watch() -> None:
        await asyncio.sleep(_WAITING_S)
        try:
            task = await door.task(task_id)
        except Failure:
            return
        if task.status.value == "pending":
            due_in_s = ((task.due_at or 0) / 1000) - time.time()
            if due_in_s > 0:
                tell(f"it is not due before {local_time(task.due_at)}")
            else:
                tell(f"waiting for a worker of the queue {task.queue}")

    watching = asyncio.get_running_loop().create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
