"""Running: a task from its submission to its end, as `run` shows it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

import click
from msgspec import Struct

from worker.cli import exit_codes
from worker.cli.asking import Wish, can_ask, wish
from worker.cli.beside import Beside
from worker.cli.deployment import store_failures, store_runs
from worker.cli.door import Door, Site
from worker.cli.failure import Failure
from worker.cli.follow import Place, follow
from worker.cli.grouped import follow_all, result_lines
from worker.cli.notice import ending, notice, stored
from worker.cli.output import LogOutput
from worker.cli.progress_bar import ProgressBar
from worker.cli.submitting import Request
from worker.cli.terminal import duration, print_json
from worker.config import Settings
from worker.model.task import Task

# How many stores of others `run --up` uses, one after the other, before it gives up.
_STORES = 5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Manner(Struct, frozen=True):
    """How `run` goes about it; its options."""

    up: Settings | None
    """Those of the deployment that is started for this task when it does not run."""
    follow: bool
    timeout_s: float | None
    quiet: bool
    as_json: bool


def run_task(site: Site, request: Request, manner: Manner) -> int:
    """The exit code. Blocks until the task has ended, or until it is not waited for any more."""
    return asyncio.run(_Running(site, request, manner).run())


class _Running:
    def __init__(self, site: Site, request: Request, manner: Manner) -> None:
        self._site = site
        self._request = request
        self._manner = manner
        self._task_id = request.task_id
        self._accepted = False
        self._place = Place(0)
        self._children: tuple[Task | None, ...] = ()
        self._signal: signal.Signals | None = None
        self._tell: Callable[[str], None] = (lambda _: None) if manner.quiet else notice

    async def run(self) -> int:
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        assert this is not None
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._hear, number, this)
        beside: Beside | None = None
        try:
            try:
                for _ in range(_STORES):
                    beside = beside or await self._start_beside()
                    try:
                        return await self._with_store(beside)
                    except Failure as failure:
                        if beside or not self._store_was_ended(failure):
                            raise
                        self._tell("whoever had started the store has ended it")
                raise Failure(exit_codes.UNAVAILABLE, "the store is ended again and again by others")
            except asyncio.CancelledError:
                # A second signal ends us at once, and what was started beside us ends by itself.
                for number in _SIGNALS:
                    loop.remove_signal_handler(number)
                return self._interrupted(beside)
        finally:
            if beside:
                await beside.stop()

    def _hear(self, number: signal.Signals, this: asyncio.Task[object]) -> None:
        self._signal = number
        this.cancel()

    def _store_was_ended(self, failure: Failure) -> bool:
        """With --up we used a store of another process, such as another `run --up`, and that is gone now."""
        return self._manner.up is not None and self._manner.up.embedded and failure.exit_code == exit_codes.UNAVAILABLE

    async def _start_beside(self) -> Beside | None:
        settings = self._manner.up
        if settings is None:
            return None
        if not settings.embedded:
            self._tell("a broker is configured, so --up has nothing to start")
            return None
        with store_failures():
            if store_runs(settings):
                return None
        self._tell("starting the store and a worker for this task")
        beside = Beside(settings)
        try:
            with store_failures():
                await beside.ready()
        except BaseException:
            await beside.stop()
            raise
        return beside

    async def _with_store(self, beside: Beside | None) -> int:
        async with self._site.open() as door:
            if not self._accepted:
                accepted = await door.submit(self._request)
                self._accepted = True
                self._task_id = accepted.task_id
                self._tell(f"task {self._task_id}" + ("" if accepted.created else " was there already"))
            task_id = self._task_id
            try:
                async with asyncio.timeout(self._manner.timeout_s):
                    task = await self._watch_and_ask(door, beside)
            except TimeoutError:
                if beside:
                    await self._cancel(door, "not ended in time")
                fate = "is cancelled" if beside else f"goes on; look at it with `penstock show {task_id}`"
                raise Failure(exit_codes.TRY_AGAIN, f"task {task_id} has not ended in time and {fate}") from None
            except asyncio.CancelledError:
                if beside:
                    await self._cancel(door, "interrupted")
                raise
        return self._report(task)

    async def _cancel(self, door: Door, why: str) -> None:
        async for _ in door.cancel([self._task_id], why=why):
            pass

    async def _watch_and_ask(self, door: Door, beside: Beside | None) -> Task:
        """Ctrl-C on a terminal is a question, unless the task ends with us anyway; a second one is the answer."""
        while True:
            try:
                return await self._watch(door, beside)
            except asyncio.CancelledError:
                number, self._signal = self._signal, None
                this = asyncio.current_task()
                if number is not signal.SIGINT or beside or this is None or not can_ask():
                    raise
                this.uncancel()
            match await wish(self._task_id):
                case Wish.DETACH:
                    raise asyncio.CancelledError
                case Wish.CANCEL:
                    await self._cancel(door, "cancelled by Ctrl-C")
                case Wish.FOLLOW:
                    self._tell("following on")

    async def _watch(self, door: Door, beside: Beside | None) -> Task:
        """Follow to the end, unless the worker that was started for it ends first."""
        output = None
        if self._manner.follow:
            bar = None if self._manner.quiet else ProgressBar.on(sys.stderr)
            output = LogOutput(sys.stderr if self._manner.as_json else sys.stdout, bar)
        loop = asyncio.get_running_loop()
        # One that was only found there is not waited for: we start our own.
        patience_s = 1.0 if self._manner.up and not beside else None
        following = loop.create_task(self._follow(door, output, patience_s))
        waited_for: set[asyncio.Task[Task] | asyncio.Task[None]] = {following}
        if beside:
            waited_for.add(loop.create_task(beside.ended()))
        try:
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            if beside and not following.done():
                raise beside.failure()
            return await following
        finally:
            for task in waited_for:
                task.cancel()
            await asyncio.gather(*waited_for, return_exceptions=True)
            if output:
                await output.close()

    async def _follow(self, door: Door, output: LogOutput | None, patience_s: float | None) -> Task:
        tell = output.telling(self._tell) if output else self._tell
        target = self._request.options.target
        if target is None or target.worker is not None:
            return await follow(door, self._task_id, output, tell, self._place, patience_s=patience_s)
        parent = await door.task(self._task_id)
        task, self._children = await follow_all(door, parent, output, tell, patience_s=patience_s)
        return task

    def _report(self, task: Task) -> int:
        if task.children:
            return self._report_all(task)
        run = task.runs[-1]
        if self._manner.as_json:
            from worker.cli.document import of_task

            print_json(of_task(task))
        elif not self._manner.quiet:
            ending(task.status.value, task.reason, task.message, duration(run.duration_ms))
            stored(run.artifacts)
        return exit_codes.of_task(task.status.value, task.reason, run.exit_code)

    def _report_all(self, task: Task) -> int:
        if self._manner.as_json:
            from worker.cli.document import of_task

            print_json(of_task(task, self._children))
        elif not self._manner.quiet:
            for line in result_lines(task, self._children, sys.stderr):
                click.echo(line, err=True, color=True)
            ending(task.status.value, task.reason, task.message, duration(task.runs[-1].duration_ms))
        codes = [exit_codes.of_task(task.status.value, task.reason, None)]
        ended = [each for each in self._children if each is not None]
        codes += [exit_codes.of_task(each.status.value, each.reason, each.runs[-1].exit_code) for each in ended]
        return max(codes)

    def _interrupted(self, beside: Beside | None) -> int:
        task_id = self._task_id
        if not self._accepted:
            notice("interrupted before the task was submitted")
        elif beside:
            notice(f"interrupted: task {task_id} is cancelled")
        else:
            notice(f"not following any more; task {task_id} goes on: penstock logs -f {task_id}")
        return exit_codes.INTERRUPTED
