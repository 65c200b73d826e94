"""Place: the folders of one worker process below the state folder, and what is found in those of dead ones."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from engine.workdir import wipe_path
from worker.operations.unrecorded import MARK

_LOG = re.compile(r"(?P<task>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})-(?P<run>[0-9]{1,9})-[0-9a-f]{8}\.txt\Z")
_MARK = re.compile(r"(?P<task>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})-(?P<run>[0-9]{1,9})" + re.escape(MARK) + r"\Z")


class Place:
    """`work` is for work folders, `spool` for logs and outcomes on their way. A lock says that their owner lives."""

    def __init__(self, state_dir: Path, name: str) -> None:
        self._state_dir = state_dir
        self._worker = name
        self.name = ""
        self._lock = -1

    @property
    def work(self) -> Path:
        return self._state_dir / "work" / self.name

    @property
    def spool(self) -> Path:
        return self._state_dir / "spool" / self.name

    def __enter__(self) -> Place:
        for folder in (self._state_dir, self._locks, self._state_dir / "work", self._state_dir / "spool"):
            folder.mkdir(mode=0o700, parents=folder == self._state_dir, exist_ok=True)
        lock = None
        while lock is None:  # another worker may look at the file before it is locked, and take it for a dead one's
            self.name = f"{self._worker}-{os.getpid()}-{os.urandom(3).hex()}"
            lock = _locked(self._locks / self.name)
        self._lock = lock
        for folder in (self.work, self.spool):
            folder.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in (self.spool, self.work):
            with suppress(OSError):  # what could not be removed or recorded stays for the next worker
                folder.rmdir()
        if not self.spool.exists() and not self.work.exists():
            (self._locks / self.name).unlink(missing_ok=True)
        os.close(self._lock)

    @property
    def lock(self) -> int:
        """The descriptor of the lock, for whoever keeps the place in use when this process is gone."""
        return self._lock

    @property
    def _locks(self) -> Path:
        return self._state_dir / "workers"

    def dead(self) -> Iterator[DeadPlace]:
        """The places of workers that live no more, each held while the caller looks at it."""
        for path in sorted(self._locks.iterdir()):
            if path.name == self.name or (lock := _locked(path)) is None:
                continue
            try:
                yield DeadPlace(self._state_dir, path)
            finally:
                os.close(lock)


class DeadPlace:
    """What a worker that was killed has left."""

    def __init__(self, state_dir: Path, lock: Path) -> None:
        self._lock = lock
        self._state_dir = state_dir
        self.name = lock.name
        self.spool = state_dir / "spool" / self.name

    def logs(self) -> Iterator[tuple[str, int, Path]]:
        """Task, run and text of the logs that were being written."""
        if self.spool.is_dir():
            for path in sorted(self.spool.iterdir()):
                if found := _LOG.match(path.name):
                    yield found["task"], int(found["run"]), path

    def stored(self) -> Iterator[tuple[str, int]]:
        """Task and run of those for which artifacts were stored, and whose end was not known to be recorded."""
        if self.spool.is_dir():
            for path in sorted(self.spool.iterdir()):
                if found := _MARK.match(path.name):
                    yield found["task"], int(found["run"])

    @property
    def work(self) -> Path:
        return self._state_dir / "work" / self.name

    def remove_work(self) -> bool:
        """Remove its work folders, and nothing else. False when something could not be removed."""
        return wipe_path(self._state_dir / "work", self.name).removed

    def remove(self) -> bool:
        """Remove all that is left of it. False when something could not be removed."""
        gone = [self.remove_work(), wipe_path(self._state_dir / "spool", self.name).removed]
        self._lock.unlink(missing_ok=True)
        return all(gone)


def _locked(path: Path) -> int | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return None
