"""Program: the content that is about to run, read once, checked, and out of reach of who might change it.

A file is copied into sealed memory and run by its descriptor, so that what was hashed is what runs: neither a rename
nor a write into the file matters any more, and an interpreter that reads line by line reads the same lines. What has to
have a path (node looks for the real one) is written next to the work folder, mode 0500, and removed after the run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from engine.errors import PenstockError
from engine.isolation import bubblewrap, isolated
from engine.script.command import CommandError, look_up
from engine.script.program import INTERPRETERS, NODE, SHEBANG_BYTES, Program, shebang

# A program that is larger is not one that people review.
MAX_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
# The descriptor that the supervisor gives a program of: 0, 1 and 2 are taken.
_FD = 3
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class NotAdmitted(PenstockError):
    """It may not run here: not approved, changed since, or what it asks for cannot be had."""


class Opened(Struct, frozen=True):
    """Ready to start. `fd`: to be its descriptor 3; it reads itself from there."""

    argv: tuple[str, ...]
    fd: int | None


@contextmanager
def opened(program: Program, workdir: str, arguments: tuple[str, ...] = ()) -> Iterator[Opened]:
    """Read, check and hold it for one run; `arguments` follow its own. Blocks on the disk.

    Raises NotAdmitted, and OSError for a disk that does not do.
    """
    content = program.body if program.body is not None else _read(program)
    if program.sha256 is not None and hashlib.sha256(content).hexdigest() != program.sha256:
        what = "the body" if program.path is None else program.path
        raise NotAdmitted(f"{what} is not what was approved: it has changed since")
    interpreter = _interpreter(program, content[:SHEBANG_BYTES])
    rest = (*program.arguments, *arguments)
    fd, path = None, None
    try:
        if program.path is not None and program.sha256 is None and not program.isolated:
            yield Opened((*interpreter, program.path, *rest), None)
            return
        if program.body is not None or program.kind == NODE:
            path = _written(content, os.path.dirname(workdir), os.path.splitext(program.path or "")[1])
        else:
            fd = _sealed(content)
        argv = (*interpreter, path or f"/proc/self/fd/{_FD}", *rest)
        yield Opened(_apart(argv, workdir, path) if program.isolated else argv, fd)
    finally:
        if fd is not None:
            os.close(fd)
        if path is not None:
            os.unlink(path)


def _read(program: Program) -> bytes:
    """The whole file, opened once."""
    path = program.path or ""
    try:
        # Not blocking: a FIFO in its place would wait for a writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise NotAdmitted(f"{path} cannot be opened: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotAdmitted(f"{path} is not a regular file")
        real = os.readlink(f"/proc/self/fd/{fd}")
        if program.folder is not None and not real.startswith(os.path.realpath(program.folder) + "/"):
            raise NotAdmitted(f"{path} leads out of {program.folder}")
        with os.fdopen(fd, "rb", closefd=False) as file:
            content = file.read(MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > MAX_BYTES:
        raise NotAdmitted(f"{path} is larger than {MAX_BYTES} bytes")
    return content


def _interpreter(program: Program, head: bytes) -> tuple[str, ...]:
    named = shebang(head)
    if named:
        if not named[0].startswith("/"):
            raise NotAdmitted(f"its first line names no absolute path of an interpreter: {named[0]!a:.100}")
        return named
    name = INTERPRETERS.get(program.kind)
    if name is None:
        return ()
    try:
        return (look_up(name, ours=not program.isolated),)
    except CommandError as error:
        raise NotAdmitted(str(error)) from None


def _sealed(content: bytes) -> int:
    fd = os.memfd_create("penstock-program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view[:_BLOCK_BYTES]) :]
        os.fchmod(fd, 0o500)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _written(content: bytes, folder: str, suffix: str) -> str:
    """`suffix`: node tells two kinds of modules apart by it."""
    path = os.path.join(folder, f"program-{os.urandom(8).hex()}{suffix}")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o500)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except BaseException:
        os.unlink(path)
        raise
    return path


def _apart(argv: tuple[str, ...], workdir: str, path: str | None) -> tuple[str, ...]:
    bwrap = bubblewrap()
    if bwrap is None:
        raise NotAdmitted("it is to run isolated, and bubblewrap (bwrap) is missing here or may not make namespaces")
    # What else is below there belongs to other runs.
    hidden = [os.path.dirname(workdir)]
    return isolated(bwrap, argv, workdir, files=[path] if path else [], hidden=hidden)
