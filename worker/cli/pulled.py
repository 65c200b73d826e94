"""Pulled: bytes that an event loop receives, as a file for a thread that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError
from io import RawIOBase
from typing import Any

from worker.cli.door import Away


class Pulled(RawIOBase):
    """Not to be read on the thread of the loop, which it would wait for. Closing it ends the generator."""

    def __init__(self, blocks: AsyncGenerator[bytes, None], first: bytes = b"") -> None:
        self._loop = asyncio.get_running_loop()
        self._blocks = blocks
        self._rest = memoryview(first)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Raises what the generator raises, Away when its loop has ended."""
        if not self._rest:
            self._rest = memoryview(self._call(self._next()))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._blocks.aclose()))

    def _call(self, work: Any) -> bytes:
        try:
            block: bytes = asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (CancelledError, RuntimeError):
            work.close()
            raise Away("the server", "interrupted") from None
        return block

    async def _next(self) -> bytes:
        async for block in self._blocks:
            if block:
                return block
        return b""
