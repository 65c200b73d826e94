"""Collecting: takes the regular files out of a run's artifacts folder and hands them to a store.

What the command left is hostile until shown otherwise: a link to somebody's secret, a pipe that never ends,
ten gigabytes of nothing. It can cost its own run, and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator

from engine.artifacts import names
from engine.artifacts.artifact import Artifact, ArtifactProblem, ArtifactStore, Collected
from engine.artifacts.content_type import content_type
from engine.artifacts.sole_name import has_sole_name
from engine.artifacts.walk import FOLDER, Found, walk

ARTIFACTS = "artifacts"
PUBLIC = "public/"
# Enough to read quickly, little enough that a hundred runs may do it at once.
_BLOCK = 256 * 1024
# Problems told one by one; more of them tell an operator nothing new and would fill the log.
_MAX_PROBLEMS = 1000
# Entries looked at, in all folders together, however few of them may be stored.
_MIN_ENTRIES = 100_000
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NOTHING = Collected()
# Answers of the kernel that say nothing of what the command left.
_OF_THE_HOST = frozenset({errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def collect(folder_fd: int, store: ArtifactStore, *, max_count: int, max_bytes: int, max_total_bytes: int) -> Collected:
    """Stores each regular file below `artifacts` in the run folder behind `folder_fd`, in the order of names.

    Call it when nothing of the command lives. An empty artifacts folder is taken away: that is the cheapest
    way to learn that it is empty; one that is missing holds nothing. A file with a second hard link is
    refused, it may be somebody else's, and so is whatever stands on another file system than the folder. Of a
    file as many bytes are stored as it had when it was opened: what is appended while it is read is ignored,
    shrinking is a problem.

    Nothing that the command made and nothing that the store refuses with an OSError is raised, each is a
    problem, and the other files are collected all the same.
    """
    try:
        os.rmdir(ARTIFACTS, dir_fd=folder_fd)
        return _NOTHING
    except FileNotFoundError:
        return _NOTHING
    except OSError:
        pass
    collection = _Collection(store, max_count, max_bytes, max_total_bytes)
    collection.take(folder_fd)
    return collection.result()


class _Refused(Exception):
    """One entry is not stored. The text is for the log. `lost` as in ArtifactProblem."""

    def __init__(self, text: str, *, lost: bool = False) -> None:
        super().__init__(text)
        self.lost = lost


class _Reading:
    """The bytes of one open file: exactly `size`, hashed as they are handed over, once."""

    def __init__(self, fd: int, size: int) -> None:
        self.left = size
        self.digest = hashlib.sha256()
        self.fault: str | None = None
        self.lost = False
        self._fd = fd

    def blocks(self) -> Iterator[bytes]:
        while self.left:
            try:
                block = os.read(self._fd, min(_BLOCK, self.left))
            except OSError as error:
                self.fault = f"cannot be read: {error.strerror}"
                self.lost = error.errno in _OF_THE_HOST
                raise
            if not block:
                self.fault = f"shrank while it was read: {self.left} bytes are missing"
                raise OSError(errno.EIO, "the file shrank")
            self.digest.update(block)
            self.left -= len(block)
            yield block


class _Collection:
    def __init__(self, store: ArtifactStore, max_count: int, max_bytes: int, max_total_bytes: int) -> None:
        self._store = store
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._artifacts: list[Artifact] = []
        self._problems: list[ArtifactProblem] = []
        self._bytes = 0
        self._over_count = 0
        self._untold = 0
        self._untold_lost = False

    def take(self, folder_fd: int) -> None:
        try:
            start = os.open(ARTIFACTS, FOLDER, dir_fd=folder_fd)
        except FileNotFoundError:
            return
        except OSError as error:
            # ENOTDIR is the answer for a link too: O_DIRECTORY is looked at before O_NOFOLLOW
            replaced = error.errno in (errno.ENOTDIR, errno.ELOOP)
            problem = "is no folder any more" if replaced else f"cannot be opened: {error.strerror}"
            self._refuse("", problem, lost=error.errno in _OF_THE_HOST)
            return
        try:
            device = os.fstat(folder_fd).st_dev
            if os.fstat(start).st_dev != device:
                self._refuse("", "is on another file system")
                return
            for found in walk(start, max_entries=max(_MIN_ENTRIES, 2 * self._max_count)):
                self._take_entry(found, device)
        except OSError as error:
            self._refuse("", f"cannot be listed: {error.strerror}", lost=error.errno in _OF_THE_HOST)
        finally:
            os.close(start)

    def result(self) -> Collected:
        if self._over_count:
            self._tell("", f"holds more than {self._max_count} files: {self._over_count} were left out")
        if self._untold:
            self._tell("", f"{self._untold} more problems are not listed", lost=self._untold_lost)
        return Collected(tuple(self._artifacts), tuple(self._problems))

    def _take_entry(self, found: Found, device: int) -> None:
        try:
            if found.fault is not None:
                raise _Refused(found.fault)
            if found.kind != stat.S_IFREG:
                raise _Refused(_not_a_file(found))
            if len(self._artifacts) >= self._max_count:
                self._over_count += 1
                return
            fd = _open(found)
            try:
                self._put(found, fd, device)
            finally:
                os.close(fd)
        except _Refused as refusal:
            self._refuse(found.path, str(refusal), lost=refusal.lost)

    def _put(self, found: Found, fd: int, device: int) -> None:
        name, first = found.path, os.fstat(fd)
        size = self._checked_size(first, device)
        if not has_sole_name(found.folder, found.entry, fd, first):
            raise _Refused("was changed while it was collected")
        reading = _Reading(fd, size)
        try:
            self._store.put(name, reading.blocks())
        except OSError as error:
            if reading.fault:
                raise _Refused(reading.fault, lost=reading.lost) from error
            raise _Refused(f"cannot be stored: {error.strerror or type(error).__name__}", lost=True) from error
        if reading.fault:
            raise _Refused(reading.fault, lost=reading.lost)
        if reading.left:
            raise _Refused(f"the store left {reading.left} of {size} bytes", lost=True)
        self._bytes += size
        digest = reading.digest.hexdigest()
        self._artifacts.append(Artifact(name, size, digest, content_type(name), name.startswith(PUBLIC)))

    def _checked_size(self, found: os.stat_result, device: int) -> int:
        kind = stat.S_IFMT(found.st_mode)
        if kind != stat.S_IFREG:
            raise _Refused(f"is {_KINDS.get(kind, 'no regular file')}")
        if found.st_dev != device:
            raise _Refused("is on another file system")
        if found.st_nlink != 1:
            raise _Refused(f"has {found.st_nlink} hard links: it may belong to somebody else")
        if found.st_size > self._max_bytes:
            raise _Refused(f"has {found.st_size} bytes, more than the {self._max_bytes} allowed for one artifact")
        total = self._bytes + found.st_size
        if total > self._max_total_bytes:
            raise _Refused(f"would make {total} bytes in all, more than the {self._max_total_bytes} allowed")
        return found.st_size

    def _refuse(self, path: str, message: str, *, lost: bool = False) -> None:
        if len(self._problems) < _MAX_PROBLEMS or not path:
            self._tell(path, message, lost=lost)
        else:
            self._untold += 1
            self._untold_lost = self._untold_lost or lost

    def _tell(self, path: str, message: str, *, lost: bool = False) -> None:
        self._problems.append(ArtifactProblem(names.shown(path or f"{ARTIFACTS}/"), message, lost))


def _open(found: Found) -> int:
    try:
        return os.open(found.entry, _FILE, dir_fd=found.folder)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a file when it was listed, a link now
            raise _Refused("is a symbolic link") from error
        raise _Refused(f"cannot be opened: {error.strerror}", lost=error.errno in _OF_THE_HOST) from error


def _not_a_file(found: Found) -> str:
    kind = found.kind
    if kind == 0:
        try:
            mode = os.stat(found.entry, dir_fd=found.folder, follow_symlinks=False).st_mode
        except OSError as error:
            return f"cannot be looked at: {error.strerror}"
        kind = stat.S_IFMT(mode)
    return f"is {_KINDS.get(kind, 'no regular file')}"
