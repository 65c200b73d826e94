"""FolderStore: artifacts as files in a folder. No link in it leads out, no half file shows."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from engine.artifacts import names
from engine.artifacts.walk import walk
from engine.artifacts.writing import make_root, open_below, write_file

# A store of our own is listed whole, or refused.
_MAX_ENTRIES = 1_000_000


class FolderStore:
    """Artifacts of one run in `<root>/<within...>`. Nothing is made on disk before the first `put`.

    Folders that it makes have mode 0700, files 0600. `root` may be reached through links, it is the
    operator's; nothing below it may. `durable` flushes each file to the disk before it gets its name; the
    names themselves are flushed by `commit`, once for all files, since a name only matters when a record
    speaks of it. Without it a loss of power may take the latest files, as with `cp`.
    """

    def __init__(self, root: Path, *, within: tuple[str, ...] = (), durable: bool = False) -> None:
        self._root = root
        self._within = tuple(part.encode() for part in within)
        self._durable = durable
        self._touched: set[tuple[bytes, ...]] = set()

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `ArtifactStore.put`. A name that is not an artifact's is refused with EINVAL.

        A put that fails may leave an empty folder behind, never a file.
        """
        reason = names.fault(name)
        if reason is not None:
            raise OSError(errno.EINVAL, reason)
        *parts, last = (*self._within, *name.encode().split(b"/"))
        root = make_root(self._root)
        try:
            folder = open_below(root, parts, make=True)
        finally:
            os.close(root)
        try:
            write_file(folder, last, chunks, durable=self._durable)
        finally:
            os.close(folder)
        if self._durable:
            self._touched.update(tuple(parts[:depth]) for depth in range(len(parts) + 1))

    def commit(self) -> None:
        """Flushes the names of everything put since the last call. Raises OSError when the disk refuses.

        Nothing to do when nothing was put, or when the store is not durable.
        """
        if not self._touched:
            return
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for parts in sorted(self._touched, reverse=True):
                folder = open_below(root, parts, make=False)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        finally:
            os.close(root)
        self._touched.clear()

    def open(self, name: str) -> BinaryIO:
        """The stored file. Whatever is not a regular file that `put` could have made is FileNotFoundError."""
        if names.fault(name) is not None:
            raise FileNotFoundError(errno.ENOENT, "no such artifact")
        return open_file(self._root, (*self._within, *name.encode().split(b"/")))

    def names(self) -> tuple[str, ...]:
        """The names of all stored files, sorted. What `put` could not have made is passed over."""
        try:
            root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return ()
        try:
            folder = open_below(root, self._within, make=False)
        except (FileNotFoundError, NotADirectoryError):  # also a link, which is none of ours
            return ()
        finally:
            os.close(root)
        try:
            found = walk(folder, max_entries=_MAX_ENTRIES)
            return tuple(entry.path for entry in found if entry.fault is None and entry.kind == stat.S_IFREG)
        finally:
            os.close(folder)


def open_file(root: Path, parts: tuple[bytes, ...]) -> BinaryIO:
    """Opens `<root>/<parts...>` for reading. Links below the root, and all but files, count as absent."""
    *above, last = parts
    missing = FileNotFoundError(errno.ENOENT, "no such file in the store", os.fsdecode(b"/".join(parts)))
    try:
        start = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            folder = open_below(start, above, make=False)
        finally:
            os.close(start)
        try:
            fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        # ENXIO: a socket, or a pipe's other end
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
            raise missing from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise missing
    return os.fdopen(fd, "rb")
