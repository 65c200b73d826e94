"""Removal of a tree by directory descriptors. Follows no link, crosses no mount, and does not recurse.

A path could be swapped under us and may be longer than PATH_MAX; a descriptor is neither. At most five
descriptors are open at a time, however deep the tree is: the way back up is `..`, checked against what was
there on the way down.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from msgspec import Struct, field

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)  # POSIX allows either from rmdir

# Subfolders remembered per look into one folder: bounds memory whatever a command made.
_BATCH = 10_000
# Looks into one folder that fills up again behind us: somebody still writes, and will not be outrun.
_ROUNDS = 5
# Looks into one folder at all: an end for file systems that go on listing what is gone.
_SWEEPS = 10_000


class _Moved(Exception):
    """A folder was moved while we stood below it."""


class _Level(Struct):
    """One folder on the way down. `stuck` holds the names that could not be removed."""

    name: str
    identity: tuple[int, int]
    pending: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    rounds: int = 0
    sweeps: int = 0


def remove_content(folder: int) -> bool:
    """Empties the folder behind the descriptor. Returns whether it is empty now; never raises OSError.

    What cannot be removed (immutable, a mount, somebody else's) stays, all around it goes.
    """
    for _ in range(_ROUNDS):
        try:
            return _empty(folder)
        except _Moved:
            continue
        except OSError:
            return False
    return False


def remove_entry(folder: int, name: str) -> bool:
    """Removes one entry of the folder, a whole tree or a file. Returns whether nothing of that name is left.

    `name` is one path component. An absent entry is no error. Never raises OSError.
    """
    for _ in range(_ROUNDS):
        try:
            child = _step_into(folder, name, os.fstat(folder).st_dev)
            if child is None:
                return True
            try:
                if not remove_content(child):
                    return False
            finally:
                os.close(child)
        except OSError:
            return False
    return False


def _empty(base: int) -> bool:
    top = os.fstat(base)
    device = top.st_dev
    _make_enterable(base, top)
    stack = [_Level("", (device, top.st_ino))]
    fd = os.dup(base)
    try:
        while True:
            level = stack[-1]
            if not level.pending and level.sweeps < _SWEEPS:
                level.sweeps += 1
                level.pending = _sweep(fd, level)
            if level.pending:
                name = level.pending.pop()
                try:
                    child = _step_into(fd, name, device)
                except OSError:
                    level.stuck.add(name)
                    continue
                if child is not None:
                    found = os.fstat(child)
                    stack.append(_Level(name, (found.st_dev, found.st_ino)))
                    os.close(fd)
                    fd = child
            elif len(stack) == 1:
                return not level.stuck
            else:
                fd = _leave(fd, stack)
    finally:
        os.close(fd)


def _sweep(fd: int, level: _Level) -> list[str]:
    """Unlinks what is no folder; returns the folders, or nothing when only stuck entries are left."""
    folders: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name in level.stuck:
                continue
            try:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=fd)
                    continue
            except FileNotFoundError:
                continue
            except OSError:
                level.stuck.add(entry.name)
                continue
            folders.append(entry.name)
            if len(folders) == _BATCH:
                break
    return folders


def _step_into(fd: int, name: str, device: int) -> int | None:
    """Removes the entry when that takes one call, else opens the folder. None: it is gone."""
    try:
        # First of all, since the kernel answers EBUSY for every mount point, also for one of the same file
        # system, which st_dev would not show.
        os.rmdir(name, dir_fd=fd)
        return None
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=fd)
        return None
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
    try:
        child = os.open(name, _FOLDER, dir_fd=fd)
    except PermissionError:
        _unlock(fd, name, device)
        child = os.open(name, _FOLDER, dir_fd=fd)
    try:
        found = os.fstat(child)
        if found.st_dev != device:
            raise OSError(errno.EXDEV, "another file system")
        _make_enterable(child, found)
    except BaseException:
        os.close(child)
        raise
    return child


def _leave(fd: int, stack: list[_Level]) -> int:
    """Goes up and removes the folder that was left. Returns the descriptor to go on with."""
    level, above = stack[-1], stack[-2]
    parent = os.open("..", _FOLDER, dir_fd=fd)
    found = os.fstat(parent)
    if (found.st_dev, found.st_ino) != above.identity:
        os.close(parent)
        raise _Moved
    if level.stuck:
        above.stuck.add(level.name)
    else:
        try:
            os.rmdir(level.name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in _NOT_EMPTY and level.rounds < _ROUNDS:
                level.rounds += 1
                os.close(parent)
                return fd
            above.stuck.add(level.name)
    os.close(fd)
    stack.pop()
    return parent


def _make_enterable(fd: int, found: os.stat_result) -> None:
    if found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(OSError):
            os.fchmod(fd, stat.S_IRWXU)


def _unlock(fd: int, name: str, device: int) -> None:
    """Gives the owner of a folder that may not even be opened its rights back, without following a link."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        if os.fstat(handle).st_dev == device:
            os.chmod(f"/proc/self/fd/{handle}", stat.S_IRWXU)
    finally:
        os.close(handle)
