"""A lock on a file that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path
from typing import ClassVar


class Lock:
    """An exclusive `flock` on `path`, which is made when missing and never removed.

    The lock belongs to the open file and not to the process: a started program that inherits the descriptor
    keeps it (wanted for the server), and so would a forked child (not wanted: the child's copy is closed
    after a fork).
    """

    _taken: ClassVar[weakref.WeakSet[Lock]] = weakref.WeakSet()
    _watching_forks: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd: int | None = None

    def take(self) -> bool:
        """Whether the lock is ours now. Does not wait."""
        if self.fd is not None:
            return True
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        self._close_in_forks()
        return True

    def release(self) -> None:
        """Give it up: our descriptor is closed. Whoever inherited it still holds it. Twice is no error."""
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)

    def write(self, note: str) -> None:
        """Replace what the file says. Only for the holder."""
        assert self.fd is not None
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, note.encode(), 0)

    def read(self) -> str:
        """What the file says, "" when it does not exist."""
        try:
            return self.path.read_text(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def _close_in_forks(self) -> None:
        Lock._taken.add(self)
        if not Lock._watching_forks:
            Lock._watching_forks = True
            os.register_at_fork(after_in_child=Lock._forget_all)

    @staticmethod
    def _forget_all() -> None:
        for lock in list(Lock._taken):
            lock.release()
