"""Lifeline: how long a command may go on without word from its worker.

A worker that is frozen can neither renew its claim on a run nor end the command. So its supervisor does, when the
time that was last granted is over; nobody else may have the run before that.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Lifeline:
    """Granted by whoever renews the claim; heard by the supervisor of the run, once it has one."""

    def __init__(self, granted_s: float) -> None:
        self.until_s = time.monotonic() + granted_s
        """By CLOCK_MONOTONIC, which all processes of a host share."""
        self._hear: Callable[[float], None] | None = None

    @property
    def left_s(self) -> float:
        """Seconds from now; 0 when the time is over."""
        return max(0.0, self.until_s - time.monotonic())

    def extend(self, granted_s: float) -> None:
        """The run may go on for so many seconds from now."""
        self.until_s = time.monotonic() + granted_s
        if self._hear:
            self._hear(self.until_s)

    def bind(self, hear: Callable[[float], None] | None) -> None:
        self._hear = hear
