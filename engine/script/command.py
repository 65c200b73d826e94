"""The fixed command: each element resolved once to what will run. Starts nothing."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.schema.shown import quoted

FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"
# Programs whose next argument is the file that they run.
_INTERPRETER = re.compile(r"(ba|da)?sh|python(3(\.[0-9]+)?)?|node|perl|ruby")


class CommandError(Exception):
    """`index` is the element that is wrong."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index


def resolve_command(argv: Sequence[str], home: Path) -> tuple[tuple[str, ...], list[CommandError]]:
    """The argv with absolute paths, and what is wrong with it. `home` is the deployment folder, absolute.

    Symbolic links are kept as they are written: the Python of a virtual environment is known by its path.
    Nothing is expanded, neither `~` nor `$VAR`.
    """
    problems: list[CommandError] = []
    resolved = list(argv)
    try:
        resolved[0] = _program(argv[0], home)
    except CommandError as error:
        problems.append(error)
    file_at = 1 if _takes_a_file(argv) else None
    for i in range(1, len(argv)):
        try:
            resolved[i] = _file(i, argv[i], home) if i == file_at else _argument(argv[i], home)
        except CommandError as error:
            problems.append(error)
    return tuple(resolved), problems


def _program(name: str, home: Path) -> str:
    if "/" not in name:
        return look_up(name)
    path = name if name.startswith("/") else _inside(0, name, home)
    found = _stat(0, path, name)
    if not stat.S_ISREG(found.st_mode):
        raise CommandError(0, f"{quoted(name)} is not a regular file")
    if not os.access(path, os.X_OK):
        raise CommandError(0, f"{quoted(name)} is not executable")
    return path


def look_up(name: str, *, ours: bool = True) -> str:
    """The path of a program. Not `ours`: the system's, not the one beside our interpreter. Raises CommandError."""
    seen = None
    for folder in _folders() if ours else FALLBACK_PATH.split(":"):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            seen = seen or path
    if seen is not None:
        raise CommandError(0, f"{quoted(name)} was found at {seen}, which is not executable")
    raise CommandError(
        0, f"{quoted(name)} was not found, neither beside the interpreter that runs Penstock nor on PATH"
    )


def _folders() -> Iterator[str]:
    yield os.path.dirname(sys.executable)
    # A relative or empty entry would mean whatever folder the worker was started in.
    yield from (folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder.startswith("/"))
    yield from FALLBACK_PATH.split(":")


def _takes_a_file(argv: Sequence[str]) -> bool:
    return (
        len(argv) > 1 and _INTERPRETER.fullmatch(os.path.basename(argv[0])) is not None and not argv[1].startswith("-")
    )


def _file(index: int, name: str, home: Path) -> str:
    """The file that an interpreter runs."""
    path = name if name.startswith("/") else _inside(index, name, home)
    found = _stat(index, path, name)
    if not stat.S_ISREG(found.st_mode):
        raise CommandError(index, f"{quoted(name)} is not a regular file")
    if not os.access(path, os.R_OK):
        raise CommandError(index, f"{quoted(name)} is not readable")
    return path


def _argument(text: str, home: Path) -> str:
    """A relative path of an existing file of the deployment made absolute: a run has a folder of its own."""
    if "/" not in text or text.startswith(("/", "-")):
        return text
    try:
        path = _inside(0, text, home)
        return path if os.path.isfile(path) else text
    except (CommandError, ValueError):
        return text


def _inside(index: int, name: str, home: Path) -> str:
    path = os.path.normpath(os.path.join(home, name))
    if os.path.commonpath((path, home)) != str(home):
        raise CommandError(index, f"{quoted(name)} leads out of the deployment folder")
    return path


def _stat(index: int, path: str, name: str) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError:
        raise CommandError(index, f"{quoted(name)} does not exist (looked at {path})") from None
    except OSError as error:
        raise CommandError(index, f"{quoted(name)} cannot be used: {error.strerror}") from None
