"""Program: what a script runs when it is not simply a command of the deployment, and how it is found out.

A file is told apart by its shebang and its name, and so is the interpreter of one that has no shebang.
"""

from __future__ import annotations

import os
import re

from msgspec import Struct

SHELL, PYTHON, NODE, DIRECT, BROWSER = "shell", "python", "node", "direct", "browser"
# What runs a file of that kind that does not say so itself.
INTERPRETERS = {SHELL: "bash", PYTHON: "python3", NODE: "node"}
_SUFFIXES = {
    **dict.fromkeys((".sh", ".bash"), SHELL),
    ".py": PYTHON,
    **dict.fromkeys((".js", ".mjs", ".cjs"), NODE),
}
_PROGRAMS = (
    (re.compile(r"(ba|da|k|z|a)?sh"), SHELL),
    (re.compile(r"(python|pypy)[0-9.]*"), PYTHON),
    (re.compile(r"node(js)?"), NODE),
)
# As the kernel reads it (BINPRM_BUF_SIZE).
SHEBANG_BYTES = 256


class Program(Struct, frozen=True):
    """Read and checked right before each start; what was checked is what runs, whatever becomes of the file.

    `path` is absolute, None for a `body`; links are followed, but not out of `folder`. Without `sha256` (in hex) the
    content is not checked, and a file runs where it lies. `arguments` follow it. `isolated`: without network and home,
    and with a root that cannot be written.
    """

    kind: str
    path: str | None = None
    folder: str | None = None
    body: bytes | None = None
    sha256: str | None = None
    arguments: tuple[str, ...] = ()
    isolated: bool = False


def shebang(head: bytes) -> tuple[str, ...]:
    """The interpreter that a file names in its first line, with its one argument; empty when it names none."""
    if not head.startswith(b"#!"):
        return ()
    line = head[2:SHEBANG_BYTES].split(b"\n", 1)[0].strip()
    return tuple(os.fsdecode(part) for part in line.split(None, 1))


def kind_of(name: str, head: bytes) -> str:
    """The kind of a file by its shebang, else by its name. `head`: its first bytes."""
    named = shebang(head)
    if named:
        program = os.path.basename(named[0])
        if program == "env" and len(named) > 1:
            words = [word for word in named[1].split() if not word.startswith("-") and "=" not in word]
            program = os.path.basename(words[0]) if words else ""
        return next((kind for pattern, kind in _PROGRAMS if pattern.fullmatch(program)), DIRECT)
    return _SUFFIXES.get(os.path.splitext(name)[1].lower(), DIRECT)
