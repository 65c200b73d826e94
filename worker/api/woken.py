"""Woken: waits for an event, for so long at most."""

from __future__ import annotations

import asyncio


async def woken(event: asyncio.Event, within_s: float | None) -> bool:
    """Whether it was set in time; None waits for as long as it takes."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
