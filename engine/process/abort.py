"""Abort: the one request to end a run early, and why. Set from anywhere in the loop; the first reason stays."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct


class Reason(Struct, frozen=True):
    """Why a run is ended early: the status and reason that its outcome will have, and one line for people."""

    status: str
    reason: str
    message: str


class Abort:
    """Not thread-safe: call it from the event loop that runs the command."""

    __slots__ = ("_hear", "reason")

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._hear: Callable[[], None] | None = None

    def request(self, status: str, reason: str, message: str) -> bool:
        """Ask for the end. False when it was asked for before: the first reason is the one that counts."""
        if self.reason:
            return False
        self.reason = Reason(status, reason, message)
        if self._hear:
            self._hear()
        return True

    def bind(self, hear: Callable[[], None] | None) -> None:
        """Call this, once, as soon as the run is to end: at once when that was asked for before. None: nobody."""
        self._hear = hear
        if hear and self.reason:
            hear()
