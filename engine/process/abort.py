"""Abort: the one request to end a run early, and why. Set from anywhere in the loop; the first reason stays."""

from __future__ import annotations

import asyncio

from msgspec import Struct


class Reason(Struct, frozen=True):
    """Why a run is ended early: the status and reason that its outcome will have, and one line for people."""

    status: str
    reason: str
    message: str


class Abort:
    """Not thread-safe: call it from the event loop that runs the command."""

    def __init__(self) -> None:
        self._future: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()

    @property
    def reason(self) -> Reason | None:
        return self._future.result() if self._future.done() else None

    def request(self, status: str, reason: str, message: str) -> bool:
        """Ask for the end. False when it was asked for before: the first reason is the one that counts."""
        if self._future.done():
            return False
        self._future.set_result(Reason(status, reason, message))
        return True

    @property
    def requested(self) -> asyncio.Future[Reason]:
        """Done as soon as the run is to end. Do not cancel it: shield it."""
        return self._future
