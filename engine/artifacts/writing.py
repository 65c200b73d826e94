"""Writing of a store's files: below a folder, through no link, whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from engine.artifacts import names
from engine.artifacts.walk import FOLDER


def make_root(root: Path) -> int:
    """The descriptor of the folder, which is made with mode 0700 when it is missing. The caller closes it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(root, flags)
    except FileNotFoundError:
        os.makedirs(root, mode=0o700, exist_ok=True)
        return os.open(root, flags)


def open_below(start: int, parts: Sequence[bytes], *, make: bool) -> int:
    """The descriptor of the folder `parts` below `start`. The caller closes it; `start` stays open.

    No part may be a link: NotADirectoryError. `make` makes what is missing, with mode 0700.
    """
    fd = os.dup(start)
    try:
        for part in parts:
            try:
                below = os.open(part, FOLDER, dir_fd=fd)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=fd)
                below = os.open(part, FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_file(folder: int, name: bytes, chunks: Iterable[bytes], *, durable: bool) -> None:
    """Writes a file of mode 0600 that is there only when it is whole, replacing one of that name.

    `durable` flushes it to the disk first, so that a loss of power leaves the old content or the new. On an
    error, also one from `chunks`, nothing is left; a process that is killed leaves a hidden part behind.
    """
    part = f"{names.PART}{secrets.token_hex(8)}".encode()
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        try:
            for chunk in chunks:
                _write(fd, chunk)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise


def write_new(folder: int, name: bytes, content: bytes) -> None:
    """Writes a short file of mode 0600 in the place of any of that name. A process that is killed leaves a part."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, 0o600, dir_fd=folder)
    except FileExistsError:
        os.unlink(name, dir_fd=folder)
        fd = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        _write(fd, content)
    finally:
        os.close(fd)


def _write(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]
