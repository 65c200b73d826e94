"""Walk of a folder by descriptors: sorted, bounded, through no link and onto no other file system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from msgspec import Struct

from engine.artifacts import names

# One descriptor is open for each level.
MAX_DEPTH = 64
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Found(Struct, frozen=True):
    """One entry, `folder` being the descriptor of where it stands: valid until the walk goes on.

    `path` is relative to the start, bytes that are not UTF-8 as lone surrogates; a folder's ends with "/",
    the start itself is "". `kind` is a file type of the stat module, or 0 for any but file, folder, link.
    `fault` says what is wrong with the name, or why a folder was not entered.
    """

    folder: int
    entry: bytes
    path: str
    kind: int
    fault: str | None = None


class _Level(Struct):
    fd: int
    path: str
    entries: Iterator[tuple[bytes, int]]


class _Budget:
    """How many entries may still be looked at: bounds time and memory whatever a command made."""

    def __init__(self, entries: int) -> None:
        self.left = entries
        self.exceeded = False

    def listing(self, fd: int) -> Iterator[tuple[bytes, int]]:
        """The entries of a folder with their kinds, in the order of their full paths."""
        found: list[tuple[bytes, bytes, int]] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if self.left == 0:
                    self.exceeded = True
                    break
                self.left -= 1
                name, kind = os.fsencode(entry.name), _kind(entry)
                found.append((name + b"/" if kind == stat.S_IFDIR else name, name, kind))
        found.sort()
        return ((name, kind) for _, name, kind in found)


def walk(start: int, *, max_entries: int) -> Iterator[Found]:
    """Finds all that is below the descriptor `start`; of folders only those that could not be entered.

    `start` stays open. Raises OSError only when `start` itself cannot be listed.
    """
    device = os.fstat(start).st_dev
    budget = _Budget(max_entries)
    stack = [_Level(start, "", budget.listing(start))]
    try:
        while stack:
            level = stack[-1]
            for entry, kind in level.entries:
                path = level.path + entry.decode("utf-8", "surrogateescape")
                fault = names.fault(path)
                if kind != stat.S_IFDIR:
                    yield Found(level.fd, entry, path, kind, fault)
                    continue
                if fault is None and len(stack) > MAX_DEPTH:
                    fault = f"is more than {MAX_DEPTH} folders deep"
                below = fault or _enter(level.fd, entry, path, device, budget)
                if isinstance(below, str):
                    yield Found(level.fd, entry, f"{path}/", kind, below)
                    continue
                stack.append(below)
                break
            else:
                stack.pop()
                if stack:
                    os.close(level.fd)
        if budget.exceeded:
            yield Found(start, b"", "", stat.S_IFDIR, f"holds more than {max_entries} entries, not all were seen")
    finally:
        for level in stack[1:]:
            os.close(level.fd)


def _kind(entry: os.DirEntry[str]) -> int:
    try:
        if entry.is_dir(follow_symlinks=False):
            return stat.S_IFDIR
        if entry.is_file(follow_symlinks=False):
            return stat.S_IFREG
        return stat.S_IFLNK if entry.is_symlink() else 0
    except OSError:
        return 0


def _enter(parent: int, entry: bytes, path: str, device: int, budget: _Budget) -> _Level | str:
    """The folder opened and listed, or why that was not possible."""
    try:
        fd = os.open(entry, FOLDER, dir_fd=parent)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    try:
        if os.fstat(fd).st_dev == device:
            return _Level(fd, f"{path}/", budget.listing(fd))
        refusal = "is on another file system"
    except OSError as error:
        refusal = f"cannot be listed: {error.strerror}"
    os.close(fd)
    return refusal
