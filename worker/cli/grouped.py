"""Grouped: the tasks of several workers followed at a time, each line of their logs with its worker in front."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from io import RawIOBase
from typing import BinaryIO, TextIO, cast

from engine.log import Chunk
from worker.cli import exit_codes
from worker.cli.door import Door
from worker.cli.failure import Failure
from worker.cli.follow import Place, follow
from worker.cli.line_view import LineView
from worker.cli.output import LogOutput
from worker.cli.terminal import duration, painted_status, table
from worker.model.task import ChildTask, Task

# So many are followed at a time; each takes a connection. The logs of the others are there when it is their turn.
_AT_A_TIME = 16


async def follow_all(
    door: Door, parent: Task, output: LogOutput | None, tell: Callable[[str], None], *, patience_s: float | None = None
) -> tuple[Task, tuple[Task | None, ...]]:
    """Show the logs of all to their end; the task that stands for them, and theirs in the order of `children`.

    None: it was removed meanwhile. Raises as `follow` does.
    """
    turns = asyncio.Semaphore(_AT_A_TIME)

    async def one(child: ChildTask) -> Task | None:
        def told(text: str) -> None:
            tell(f"[{child.worker}] {text}")

        grouped = Grouped(child.worker, output) if output else None
        async with turns:
            try:
                return await follow(door, child.task_id, grouped, told, Place(0), patience_s=patience_s)
            except Failure as failure:
                if failure.exit_code != exit_codes.NO_INPUT:
                    raise
                return None

    following = [asyncio.ensure_future(one(child)) for child in parent.children]
    try:
        ended = await asyncio.gather(*following)
        return await follow(door, parent.id, None, tell, Place(0), patience_s=patience_s), tuple(ended)
    finally:
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def children_of(door: Door, parent: Task) -> tuple[Task | None, ...]:
    """The tasks that it stands for, in its order, as they are now; None: it was removed."""
    turns = asyncio.Semaphore(_AT_A_TIME)

    async def one(child: ChildTask) -> Task | None:
        async with turns:
            try:
                return await door.task(child.task_id)
            except Failure as failure:
                if failure.exit_code != exit_codes.NO_INPUT:
                    raise
                return None

    return tuple(await asyncio.gather(*(one(child) for child in parent.children)))


def result_lines(parent: Task, children: Sequence[Task | None], stream: TextIO) -> list[str]:
    """For people: a line for each worker."""
    rows = []
    for child, task in zip(parent.children, children, strict=True):
        run = task.runs[-1] if task else None
        status = painted_status(task.status.value, stream) if task else "not kept any more"
        reason = f" ({task.reason})" if task and task.reason else ""
        took = duration(run.duration_ms) if run and run.duration_ms is not None else ""
        rows.append([child.worker, status + reason, took, child.task_id])
    return table(["WORKER", "STATUS", "TOOK", "TASK"], rows, stream).splitlines()


class Grouped:
    """What `follow` shows a log with, for one of several workers: whole lines, with its name in front."""

    def __init__(self, worker: str, output: LogOutput) -> None:
        self._prefix = f"[{worker}] ".encode()
        self._output = output
        self._view = LineView(at_once=False)

    def show(self, chunk: Chunk) -> int:
        before = self._view.whole_bytes
        self._write(self._view.feed(chunk))
        return self._view.whole_bytes - before

    def end_line(self, *, drop: bool = False) -> None:
        left = self._view.end()
        if not drop:
            self._write(left)

    def telling(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        return self._output.telling(tell)

    def write(self, data: bytes) -> None:
        """What stands for itself, and not for a stretch of a log that goes on."""
        self._write(data if data.endswith(b"\n") or not data else data + b"\n")

    def copy(self, file: BinaryIO) -> None:
        self._output.copy(cast("BinaryIO", _Prefixed(self._prefix, file)))

    def _write(self, data: bytes) -> None:
        if data:
            self._output.write(self._prefix + data[:-1].replace(b"\n", b"\n" + self._prefix) + data[-1:])


class _Prefixed(RawIOBase):
    """The lines of a file with something in front of each, and an end behind the last."""

    def __init__(self, prefix: bytes, file: BinaryIO) -> None:
        self._prefix = prefix
        self._file = file
        self._begins = True

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if not block:
            end, self._begins = b"" if self._begins else b"\n", True
            return end
        data = (self._prefix if self._begins else b"") + block[:-1].replace(b"\n", b"\n" + self._prefix) + block[-1:]
        self._begins = block.endswith(b"\n")
        return data

    def close(self) -> None:
        self._file.close()
        super().close()
