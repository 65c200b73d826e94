"""Workdirs: the work folders of one process. A folder that a run left as it was made serves the next run.

Making and removing two folders costs more than all else that is done around a short command, and most commands
leave nothing behind.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from engine.workdir.workdir import Wiped, Workdir

# Nothing is left on the disk of a worker that has had nothing to do for this long.
_IDLE_S = 0.25
_GONE = Wiped(True)
# linux/time.h: CLOCK_REALTIME as of the last tick, which is what a file system takes the time of a change from.
_CLOCK_REALTIME_COARSE = 5


def kernel_ns() -> int:
    """Nanoseconds since the epoch that never are ahead of the times of files, however long a tick is late."""
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)


class Workdirs:
    """Below `root`, an absolute folder that holds nothing else. For one event loop; close it when no run is left."""

    def __init__(self, root: Path, clock_ns: Callable[[], int] = kernel_ns) -> None:
        self._root = root
        self._clock_ns = clock_ns
        self._spare: list[Workdir] = []
        self._taken = 0
        self._idle: asyncio.TimerHandle | None = None

    def take(self) -> Workdir:
        """A folder of its own for a run, with nothing in it but an empty artifacts folder. Raises OSError."""
        if self._spare:
            found = self._spare.pop()
            found.begin(self._clock_ns())
        else:
            found = Workdir.create(self._root, os.urandom(8).hex())
            found.begin(self._clock_ns(), new=True)
        self._taken += 1
        if self._idle:
            self._idle.cancel()
            self._idle = None
        return found

    async def give_back(self, workdir: Workdir, *, untouched: bool) -> Wiped:
        """Wipes it, unless nobody can tell that it was used. `untouched`: what `Workdir.untouched` said at the end.

        Call it when nothing of the command lives. Never raises OSError.
        """
        try:
            if untouched and workdir.as_made():
                self._spare.append(workdir)
                return _GONE
            return await asyncio.to_thread(workdir.wipe)
        finally:
            self._taken -= 1
            if self._taken == 0 and self._idle is None:
                self._idle = asyncio.get_running_loop().call_later(_IDLE_S, self.close)

    def close(self) -> None:
        """Removes the folders that nobody uses. May be called at any time, and again."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        while self._spare:
            self._spare.pop().wipe()
