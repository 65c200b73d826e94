"""Shared files: text below the folders of this host that the settings share. Through no link, onto no other disk.

Blocks: call it in a thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.artifacts.names import fault
from engine.artifacts.walk import FOLDER, walk
from engine.errors import PenstockError
from worker.model.times import known_time

# What is more is cut; who looks for one file knows its name.
_ENTRIES = 1000
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NoSharedFile(PenstockError):
    """There is none of that name that may be read; why is not told, so that nobody learns what lies elsewhere."""


class NotText(PenstockError):
    """It is no UTF-8."""


class TooLarge(PenstockError):
    """It is larger than what is read."""


class SharedFile(Struct, frozen=True):
    """`name` as it is asked for, `modified_at` in milliseconds."""

    name: str
    size: int
    modified_at: int

    def document(self) -> dict[str, Any]:
        """As JSON, the same over HTTP and on the command line."""
        return {"name": self.name, "size": self.size, "modifiedAt": known_time(self.modified_at)}


def folder_of(name: str) -> str:
    """By which name the settings know the folder of the file."""
    return name.partition("/")[0]


def read_shared(folders: Mapping[str, Path], name: str, *, max_bytes: int) -> str:
    """The text of a file, whose name is that of a folder, a slash, and its path there.

    Raises NoSharedFile, NotText, TooLarge.
    """
    *parents, last = _parts(name)
    with _folder(folders, parents) as (fd, device):
        try:
            opened = os.open(last, _FILE, dir_fd=fd)
        except OSError:
            raise _none() from None
        try:
            # A second name may be that of a file elsewhere.
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_dev != device:
                raise _none()
            data = _read(opened, max_bytes + 1)
        except OSError:
            raise _none() from None
        finally:
            os.close(opened)
    if len(data) > max_bytes:
        raise TooLarge(f"it is larger than {max_bytes} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotText("it is no text in UTF-8") from None


def list_shared(folders: Mapping[str, Path], name: str) -> tuple[tuple[SharedFile, ...], bool]:
    """The files below a folder by their names, at most 1,000, and whether that is all. Raises NoSharedFile."""
    parts = _parts(name)
    found: list[SharedFile] = []
    with _folder(folders, parts) as (fd, _):
        complete = True
        try:
            for entry in walk(fd, max_entries=_ENTRIES):
                if entry.path == "" and entry.fault:
                    complete = False
                if entry.kind != stat.S_IFREG or entry.fault:
                    continue
                try:
                    state = os.stat(entry.entry, dir_fd=entry.folder, follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(state.st_mode) and state.st_nlink == 1:
                    modified_ms = state.st_mtime_ns // 1_000_000
                    found.append(SharedFile("/".join((*parts, entry.path)), state.st_size, modified_ms))
        except OSError:
            raise _none() from None
    return tuple(found), complete


def list_all(folders: Mapping[str, Path], folder: str | None) -> tuple[tuple[SharedFile, ...], bool]:
    """The same for one folder, or for all of them, of which one that is not there is left out."""
    if folder is not None:
        return list_shared(folders, folder)
    files: list[SharedFile] = []
    complete = True
    for each in sorted(folders):
        with suppress(NoSharedFile):
            found, whole = list_shared(folders, each)
            files += found
            complete = complete and whole
    return tuple(files), complete


def _parts(name: str) -> list[str]:
    if fault(name):
        raise _none()
    return name.split("/")


@contextmanager
def _folder(folders: Mapping[str, Path], parts: list[str]) -> Iterator[tuple[int, int]]:
    """The folder opened, and its file system. The shared one itself is the operator's, and may be a link."""
    shared = folders.get(parts[0]) if parts else None
    if shared is None:
        raise _none()
    try:
        fd = os.open(shared, FOLDER & ~os.O_NOFOLLOW)
    except OSError:
        raise _none() from None
    try:
        device = os.fstat(fd).st_dev
        for part in parts[1:]:
            below = os.open(part, FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
            if os.fstat(fd).st_dev != device:
                raise _none()
        yield fd, device
    except OSError:
        raise _none() from None
    finally:
        os.close(fd)


def _read(fd: int, most: int) -> bytes:
    data = bytearray()
    while len(data) < most and (block := os.read(fd, min(most - len(data), 1 << 20))):
        data += block
    return bytes(data)


def _none() -> NoSharedFile:
    return NoSharedFile("there is no file or folder of that name that may be read")
