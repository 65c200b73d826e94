"""Interrupt: Ctrl-C for a command that waits, heard whatever it waits for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
# A cancellation can be lost below us, in the client of the store or in Python itself; then it is asked for again.
_AGAIN_S = 0.2


async def interruptible(work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` returns. SIGINT cancels it, again and again until it has ended; then KeyboardInterrupt is raised."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def cancel() -> None:
        if not task.done():
            task.cancel()
            loop.call_later(_AGAIN_S, cancel)

    loop.add_signal_handler(signal.SIGINT, cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
