"""Available: the executable files below the deployment's scripts folder, as what could be registered. Runs nothing."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct

from engine.errors import DeclarationError, Problem
from engine.program import MAX_BYTES
from engine.script.program import SHEBANG_BYTES, kind_of

FOLDER = "scripts"
_PATH_CHARACTERS = 500
# More is not a folder of scripts; who asks gets what was found up to here.
_MOST_FILES = 10_000
_NAME_CHARACTERS = 63


class Found(Struct, frozen=True):
    """`path` is relative to the deployment. `name`: what it could be called, None when nothing is left of its name.

    `size` in bytes, `modified_ms` since the epoch.
    """

    path: str
    name: str | None
    kind: str
    size: int
    modified_ms: int


def slug(text: str) -> str | None:
    """A name for a script out of any text, if there is one in it."""
    found = re.sub(r"[^a-z0-9]+", "-", text.lower().encode("ascii", "ignore").decode()).strip("-")
    return found[:_NAME_CHARACTERS].strip("-") or None


def available(home: Path, named: Collection[str] = ()) -> tuple[Found, ...]:
    """By path; without hidden files, those that links lead out to, and those in `named` (absolute, no link in them)."""
    found = []
    for path in _files(home / FOLDER):
        text = os.path.relpath(path, home)
        try:
            absolute = _inside(home, text)
            if absolute in named:
                continue
            is_now = os.stat(absolute)
            with open(absolute, "rb") as file:
                head = file.read(SHEBANG_BYTES)
        except (DeclarationError, OSError):
            continue
        name = slug(os.path.splitext(os.path.basename(text))[0])
        found.append(Found(text, name, kind_of(text, head), is_now.st_size, is_now.st_mtime_ns // 1_000_000))
    return tuple(sorted(found, key=lambda each: each.path))


def inspect(home: Path, path: str) -> tuple[str, str]:
    """Kind, and SHA-256 in hex, of a file that is to be registered. Raises DeclarationError for what cannot be."""
    absolute = _inside(home, path)
    try:
        with open(absolute, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _wrong(f"it cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise _wrong(f"it is larger than {MAX_BYTES} bytes")
    return kind_of(path, content[:SHEBANG_BYTES]), hashlib.sha256(content).hexdigest()


def _files(folder: Path) -> Iterator[str]:
    seen = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            seen += 1
            if seen > _MOST_FILES:
                return
            if not name.startswith("."):
                yield os.path.join(parent, name)


def _inside(home: Path, path: str) -> str:
    """The absolute path, without links, of an executable file below the scripts folder."""
    parts = path.split("/")
    if not path.isprintable() or len(path) > _PATH_CHARACTERS:
        raise _wrong(f"a path has at most {_PATH_CHARACTERS} printable characters")
    if parts[0] != FOLDER or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        raise _wrong(f"it has to be below {FOLDER}/, relative to the deployment and without ..")
    if any(part.startswith(".") for part in parts):
        raise _wrong("hidden files cannot be registered")
    try:
        absolute = os.path.realpath(home / path, strict=True)
        is_now = os.stat(absolute)
    except (OSError, ValueError):
        raise _wrong("there is no such file") from None
    if not absolute.startswith(os.path.realpath(home / FOLDER) + "/"):
        raise _wrong(f"it leads out of {FOLDER}/")
    if not stat.S_ISREG(is_now.st_mode):
        raise _wrong("it is not a regular file")
    if not os.access(absolute, os.X_OK):
        raise _wrong("it is not executable")
    return absolute


def _wrong(message: str) -> DeclarationError:
    return DeclarationError([Problem(message, "/path")])
