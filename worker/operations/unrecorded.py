"""Unrecorded: artifacts stored for a run whose end is not recorded yet, and their removal if no record names them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from worker.store import Records
from worker.store.files import Files, RunFiles

MARK = ".artifacts"


class MarkedStore:
    """Stores the artifacts of one run. From the first on a mark in the spool says so, until `settle`.

    A worker that dies in between leaves the mark, and whoever clears up after it knows where to look.
    """

    def __init__(self, files: Files, spool: Path, task_id: str, run: int) -> None:
        self._files = files
        self._task_id = task_id
        self._run = run
        self._spool = spool
        self.marked = False

    @cached_property
    def files(self) -> RunFiles:
        return self._files.run(self._task_id, self._run)

    @property
    def _mark(self) -> Path:
        return self._spool / f"{self._task_id}-{self._run}{MARK}"

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `engine.artifacts.ArtifactStore.put`."""
        if not self.marked:
            self._mark.touch(mode=0o600)
            self.marked = True
        self.files.put(name, chunks)

    def settle(self, *, named: bool) -> None:
        """The end of the run is recorded, and names what was stored, or else that is removed. Raises OSError."""
        if not self.marked:
            return
        if named or self.files.discard_artifacts():
            self._mark.unlink(missing_ok=True)
            self.marked = False


async def settle_artifacts(records: Records, files: Files, task_id: str, run: int) -> bool:
    """Remove what a dead worker stored for a run, unless its record names it.

    False: not known yet, the run has no end; its worker may have sent one that is still on its way. Raises
    StoreUnavailable.
    """
    task = await records.get(task_id)
    found = next((one for one in task.runs if one.number == run), None) if task else None
    if found and not found.status.final:
        return False
    if found and found.artifacts:
        return True
    return files.run(task_id, run).discard_artifacts()
