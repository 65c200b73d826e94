"""Waiting for a server with an end to it."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.embedded.errors import EmbeddedError
from worker.embedded.probe import StoreState

Progress = Callable[[str], None]

PATIENCE_S = 10.0
POLL_S = 0.01
PROGRESS_S = 1.0


class Patience:
    """Waits in small steps, says once a second what for, and gives up after ten seconds without a sign of
    life.

    A server that loads its data gives one at every step, so that loading takes the time it takes.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._until = time.monotonic() + PATIENCE_S
        self._tell_at = time.monotonic() + PROGRESS_S

    def step(self, found: StoreState, doing: str, complaint: str) -> None:
        """One step.

        `found` is what a ping said just now. Raises EmbeddedError(complaint) when the time is up.
        """
        now = time.monotonic()
        if found is StoreState.LOADING:
            self._until = now + PATIENCE_S
        if now > self._until:
            raise EmbeddedError(complaint)
        if now > self._tell_at and self._progress is not None:
            self._tell_at = now + PROGRESS_S
            self._progress(doing)
        time.sleep(POLL_S)
