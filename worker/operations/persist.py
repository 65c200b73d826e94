"""Persist: a write to the store that has to happen, however long the store is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from worker.store import StoreUnavailable

_logger = structlog.get_logger("penstock.worker")
_T = TypeVar("_T")
_FIRST_S = 0.1
_MOST_S = 5.0


class GivenUp(Exception):
    """The worker ends and the store is still away. Nothing was recorded, so nothing may be acknowledged."""


async def until_stored(call: Callable[[], Awaitable[_T]], what: str, give_up: asyncio.Event) -> _T:
    """Repeat the call until the store answers. For calls that change nothing when they are made twice.

    Raises GivenUp when the event is set while the store is away.
    """
    pause_s = _FIRST_S
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            if give_up.is_set():
                raise GivenUp(what) from error
            _logger.warning(f"cannot {what}; trying again", error=str(error), in_s=round(pause_s, 1))
            delay_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads workers, hides nothing
            try:
                await asyncio.wait_for(give_up.wait(), delay_s)
            except TimeoutError:
                pause_s = min(_MOST_S, pause_s * 2)
