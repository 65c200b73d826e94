"""Workdir: where one command runs. Knows nothing of what artifacts are, only their empty folder."""

from __future__ import annotations

import errno
import operator
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from engine.workdir.remove import remove_content, remove_entry

ARTIFACTS = "artifacts"
# What could not be removed is renamed to this and its old name, out of the way and easy to find.
LEFTOVER = ".leftover-"
_LEFTOVERS_OF_ONE_NAME = 100
# The time of a change is that of a clock which stands still in between. Where the file system keeps the kernel's own
# clock, that is a tick: a hundredth of a second at the most, and some more where a virtual machine is held up. The
# coarsest of file systems cut it to two seconds, which shows, as their times are whole ones.
_TICK_NS = 10_000_000
_FINE_NS = 250_000_000
_COARSEST_NS = 3_000_000_000
# What is left of these when two clocks differ so little that nobody sees it: several ticks.
_MARGIN_NS = 150_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Wiped(Struct, frozen=True):
    """`removed`: nothing is left. Else `leftover` is the path of what could not be removed."""

    removed: bool
    leftover: str | None = None


_GONE = Wiped(True)
# The time of the last change is the last of them.
_traits: Callable[[os.stat_result], tuple[int, ...]] = operator.attrgetter(
    *("st_dev", "st_ino", "st_mode", "st_uid", "st_gid", "st_nlink", "st_ctime_ns")
)


class Workdir:
    """A run's folder. `fd` is its descriptor, valid until `wipe`; `path` is a name, and may be swapped."""

    __slots__ = (
        "_artifacts",
        "_made",
        "_made_ns",
        "_made_with",
        "_old",
        "_old_after_ns",
        "_strange",
        "_text",
        "_unchanged",
        "_wiped",
        "fd",
        "path",
    )

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self._text = str(path)
        self._artifacts = f"{self._text}/{ARTIFACTS}"
        self._wiped: Wiped | None = None
        self._made = self._look()
        self._made_with = self._attributes()
        self._made_ns = max(ctime_ns for *_, ctime_ns in self._made)
        # By then a change has another time than the making.
        self._old_after_ns = _FINE_NS if self._made_ns % _TICK_NS else _COARSEST_NS
        self._unchanged = self._old = self._strange = False

    @classmethod
    def create(cls, root: Path, name: str) -> Workdir:
        """Makes `<root>/<name>/artifacts`, each folder with mode 0700 whatever the umask is.

        `root` is made too when it is missing. Raises ValueError for a name that is not one path component,
        FileExistsError when there is anything of that name, OSError when the disk refuses.
        """
        _check(name)
        path = root / name
        text = str(path)
        try:
            os.mkdir(text, 0o700)
        except FileNotFoundError:
            _make_root(root)
            os.mkdir(text, 0o700)
        fd = -1
        try:
            fd = _open_new(text)
            os.mkdir(ARTIFACTS, 0o700, dir_fd=fd)
            if stat.S_IMODE(os.fstat(fd).st_mode) != 0o700:  # the umask, or a set-group-id root
                os.chmod(ARTIFACTS, 0o700, dir_fd=fd)
                os.fchmod(fd, 0o700)
            return cls(path, fd)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            for made in (f"{text}/{ARTIFACTS}", text):  # by path: there may be no descriptor left
                with suppress(OSError):
                    os.rmdir(made)
            raise

    def begin(self, now_ns: int, *, new: bool = False) -> None:
        """A run starts in the folder, which is as it was made. `now_ns` is since the epoch. `new`: made just now."""
        age_ns = now_ns - self._made_ns
        if new:
            # The file server's clock, which may be any time away from ours: then an age says nothing.
            self._strange = not -_TICK_NS <= age_ns <= self._old_after_ns - _MARGIN_NS
        self._unchanged = False
        self._old = age_ns > self._old_after_ns and not self._strange

    def untouched(self) -> bool:
        """Whether the folder holds nothing but an empty artifacts folder: there is nothing to collect, and little
        to remove. Call it when nothing of the command lives."""
        try:
            # Whatever is added or removed, or set, moves the time of the last change.
            self._unchanged = self._old and self._look() == self._made
            return self._unchanged or (os.listdir(self.fd) == [ARTIFACTS] and _empty(self.fd, ARTIFACTS))
        except OSError:
            return False

    def as_made(self) -> bool:
        """Whether it is as `create` made it, so that another run cannot tell: call it when it is `untouched`.

        Compared are name, identity, owner, mode and time of last change of both folders, and extended attributes
        where that time is too coarse to tell, because the folder is new.
        """
        try:
            return self._unchanged or (self._look() == self._made and self._attributes() == self._made_with)
        except OSError:
            return False

    def wipe(self) -> Wiped:
        """Removes the folder with whatever is in it, and closes `fd`.

        Call it when nothing of the command lives. Never raises OSError. What cannot be removed is renamed to
        `<root>/.leftover-<name>`, or stays when that is refused too. Called again: does nothing, returns the
        same.
        """
        if self._wiped is None:
            self._wiped = self._wipe()
            os.close(self.fd)
            self.fd = -1
        return self._wiped

    def _look(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return _traits(os.lstat(self._text)), _traits(os.lstat(self._artifacts))

    def _attributes(self) -> list[list[str]]:
        return [os.listxattr(path, follow_symlinks=False) for path in (self._text, self._artifacts)]

    def _wipe(self) -> Wiped:
        try:
            try:
                os.rmdir(ARTIFACTS, dir_fd=self.fd)
            except FileNotFoundError:  # an empty one goes when artifacts are collected
                pass
            os.rmdir(self.path)
            # The command may have moved its folder away and left another empty one under the name.
            if os.fstat(self.fd).st_nlink == 0:
                return _GONE
        except OSError:
            pass
        return self._wipe_thoroughly()

    def _wipe_thoroughly(self) -> Wiped:
        root, name = self.path.parent, self.path.name
        emptied = remove_content(self.fd)
        place = _place(self.fd, str(self.path))
        if emptied and place is not None:
            with suppress(OSError):
                os.rmdir(place)
            place = _place(self.fd, str(self.path))
        if place is None:
            return wipe_path(root, name)  # nothing, or what the command put under the name
        if place != str(self.path):
            wipe_path(root, name)
            return Wiped(False, place)
        return _set_aside(root, name)


def wipe_path(root: Path, name: str) -> Wiped:
    """Removes `<root>/<name>` of an earlier process, be it a tree, a file or a link (which is not followed).

    Absent: removed. Never raises OSError; what stays is set aside as by `Workdir.wipe`. Raises ValueError for
    a name that is not one path component.
    """
    _check(name)
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _GONE
    except OSError:
        return Wiped(False, str(root / name))
    try:
        return _GONE if remove_entry(folder, name) else _set_aside(root, name)
    finally:
        os.close(folder)


def _check(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"not the name of a folder: {name!r}")


def _make_root(root: Path) -> None:
    os.makedirs(root.parent, exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(root, 0o700)
        os.chmod(root, 0o700)  # a umask may have taken bits away


def _empty(parent: int, name: str) -> bool:
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        return not os.listdir(fd)
    finally:
        os.close(fd)


def _open_new(text: str) -> int:
    try:
        return os.open(text, _FOLDER)
    except PermissionError:  # the umask took the owner's own bits
        os.chmod(text, 0o1700)  # one bit too many: `create` sees that modes have to be set
        return os.open(text, _FOLDER)


def _place(fd: int, expected: str) -> str | None:
    """The path at which the folder stands now, None when it is gone."""
    here = os.fstat(fd)
    if here.st_nlink == 0:
        return None
    with suppress(OSError):
        if os.path.samestat(os.lstat(expected), here):
            return expected
    with suppress(OSError):
        moved = os.readlink(f"/proc/self/fd/{fd}")
        if os.path.samestat(os.lstat(moved), here):
            return moved
    return None


def _set_aside(root: Path, name: str) -> Wiped:
    source = str(root / name)
    if name.startswith(LEFTOVER):
        return Wiped(False, source)
    for number in range(_LEFTOVERS_OF_ONE_NAME):
        target = str(root / (f"{LEFTOVER}{name}.{number}" if number else f"{LEFTOVER}{name}"))
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                continue  # that of an earlier run
            break
        return Wiped(False, target)
    return Wiped(False, source)
