"""Output: where the bytes of a log go, on a thread of its own, so that a slow reader holds up nobody else."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, TextIO

from engine.log import Chunk
from worker.cli.failure import Failure
from worker.cli.line_view import LineView
from worker.cli.progress_bar import ProgressBar
from worker.cli.terminal import TerminalText
from worker.model.progress import Progress, ProgressReader

_BLOCK_BYTES = 256 * 1024
# What a reader that reads takes for what is left at most.
_QUICK_S = 0.02


class Shown(Protocol):
    """What a log is shown with: see LogOutput."""

    def show(self, chunk: Chunk) -> int: ...

    def end_line(self, *, drop: bool = False) -> None: ...

    def copy(self, file: BinaryIO) -> None: ...


class LogOutput:
    """Writes to a stream: raw to a pipe or a file, made harmless to a terminal.

    `bar`: draws there how far the command says that it is, between what else is written.
    Neither `write` nor `copy` blocks. What waits in memory is bounded by the limit that a log has anyway. When the
    reader goes away the rest is dropped. `close` waits until everything is written.
    """

    def __init__(self, stream: TextIO, bar: ProgressBar | None = None) -> None:
        stream.flush()
        self._fd = stream.fileno()
        self._text = TerminalText() if stream.isatty() else None
        self._view = LineView(at_once=self._text is not None)
        self._bar = bar
        self._reader = ProgressReader()
        self._mid_line = False
        self._queue: queue.SimpleQueue[bytes | BinaryIO | Progress | Callable[[], None] | None] = queue.SimpleQueue()
        self._failure: Failure | None = None
        self._thread = threading.Thread(target=self._main, name="log-output", daemon=True)
        self.gone = False
        """The reader has closed its end."""
        self._thread.start()

    def write(self, data: bytes) -> None:
        if data and not self.gone:
            self._queue.put(data)

    def show(self, chunk: Chunk) -> int:
        """Write what a live log brings; how many bytes of whole lines, in the order of the record, it made."""
        before = self._view.whole_bytes
        self.write(self._view.feed(chunk))
        if self._bar and (progress := self._reader.feed(chunk)):
            self._queue.put(progress)
        return self._view.whole_bytes - before

    def end_line(self, *, drop: bool = False) -> None:
        """Nothing more comes of unfinished lines. `drop`: what was held back of them comes in another way."""
        left = self._view.end()
        self.write(left[-1:] if drop and self._text else b"" if drop else left)

    def copy(self, file: BinaryIO) -> None:
        """Write the rest of the file, which is closed afterwards, behind what was written before."""
        self._queue.put(file)

    def telling(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        """`tell`, in turn with the log where a bar is drawn, so that neither stands in the other's line."""
        return tell if self._bar is None else lambda message: self._queue.put(lambda: tell(message))

    async def close(self) -> None:
        """End the last line and wait until all is written. Raises Failure when a file could not be read to its end.

        Cancelled while a reader does not read: the rest is left to the thread, which ends with the process.
        """
        self.end_line()
        self._queue.put(None)
        self._thread.join(timeout=_QUICK_S)
        while self._thread.is_alive():  # noqa: ASYNC110 - a thread sets no asyncio.Event
            await asyncio.sleep(_QUICK_S)
        if self._failure:
            raise self._failure

    def _main(self) -> None:
        for data in self._data():
            if self._bar:
                self._bar.clear()
                self._mid_line = self._text is not None and not data.endswith(b"\n")
            self._pass_on(self._text.feed(data).encode() if self._text else data)
            self._draw()
        if self._bar:
            self._bar.clear()
        if self._text:
            self._pass_on(self._text.end().encode())

    def _draw(self) -> None:
        if self._bar and not self._mid_line and self._queue.empty():
            self._bar.draw()

    def _data(self) -> Iterator[bytes]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, bytes):
                yield item
                continue
            if isinstance(item, Progress):
                assert self._bar is not None
                self._bar.progress = item
                self._draw()
                continue
            if callable(item):
                if self._bar:
                    self._bar.clear()
                item()
                self._draw()
                continue
            try:
                with item:
                    while not self.gone and (block := item.read(_BLOCK_BYTES)):
                        yield block
            except Failure as failure:  # of a server; told by `close`
                self._failure = failure

    def _pass_on(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self.gone:
            try:
                view = view[os.write(self._fd, view) :]
            except OSError:
                self.gone = True
