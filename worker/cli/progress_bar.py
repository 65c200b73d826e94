"""Progress bar: how far a command says that it is, on the last line of a terminal; no line of it stays there."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

from worker.model.progress import Progress

_CELLS = 24
_CLEAR = "\r\x1b[K"


class ProgressBar:
    """For one thread. `clear` before anything else is written to that terminal, `draw` behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn = False
        self.progress: Progress | None = None

    @classmethod
    def on(cls, stream: TextIO) -> ProgressBar | None:
        """None where nobody sees it: what is no terminal, or one that cannot clear a line."""
        return cls(stream) if stream.isatty() and os.environ.get("TERM") != "dumb" else None

    def clear(self) -> None:
        if self._drawn:
            self._write(_CLEAR)
            self._drawn = False

    def draw(self) -> None:
        if self.progress is None:
            return
        columns = shutil.get_terminal_size().columns
        self._write(_CLEAR + bar_text(self.progress)[: max(0, columns - 1)])
        self._drawn = True

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self.progress = None  # the terminal is gone


def bar_text(progress: Progress) -> str:
    done = progress.percent * _CELLS // 100
    return f"[{'#' * done}{' ' * (_CELLS - done)}] {progress.percent:3d} % {progress.text}".rstrip()
