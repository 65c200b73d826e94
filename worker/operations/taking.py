"""Taking: whether a worker takes tasks now and, if not, why: it was asked not to, it ends, or there is no room."""

from __future__ import annotations

from pathlib import Path

import structlog

from engine.log.text import printable
from worker.model.worker import Vitals, Wish, Wishes, WorkerState
from worker.operations.vitals import vitals

_logger = structlog.get_logger("penstock.worker")


class Taking:
    """`rest` is what a beat says: None while tasks are taken. What runs goes on, and may make room."""

    def __init__(self, folder: Path, *, min_free_disk: int, min_free_memory: int) -> None:
        self._folder = folder
        self._least = {"disk": min_free_disk, "memory": min_free_memory}
        self._short: dict[str, int] = {}
        self.vitals = Vitals()
        self.wishes = Wishes()
        self.stopping = False

    def look(self) -> None:
        """See how much disk and memory there is; tell what has changed."""
        self.vitals = vitals(self._folder)
        # Where nobody can tell how much memory there is, there is enough.
        free = {"disk": self.vitals.disk_free}
        if self.vitals.memory_total:
            free["memory"] = self.vitals.memory_free
        short = {what: free[what] for what in free if free[what] < self._least[what]}
        for what in sorted(short.keys() ^ self._short.keys()):
            say = _logger.error if what in short else _logger.info
            text = f"too little {what}: taking no task" if what in short else f"enough {what} again: taking tasks"
            say(text, free_bytes=free[what], least_bytes=self._least[what], folder=str(self._folder))
        self._short = short

    @property
    def rest(self) -> WorkerState | None:
        if self.stopping or self.wishes.drain:
            return WorkerState.DRAINING
        return WorkerState.PAUSED if self.wishes.pause or self._short else None

    @property
    def reason(self) -> str:
        """For people; empty while tasks are taken."""
        if self.stopping:
            return "it was told to stop"
        if self.wishes.drain:
            return _asked("drained", self.wishes.drain)
        if self.wishes.pause:
            return _asked("paused", self.wishes.pause)
        return ", ".join(
            f"too little {what}: {size >> 20} MiB free, {self._least[what] >> 20} MiB wanted"
            for what, size in self._short.items()
        )


def _asked(what: str, wish: Wish) -> str:
    return f"{what} by {printable(wish.by)}" + (f": {printable(wish.why)}" if wish.why else "")
