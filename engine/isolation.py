"""Isolation: a command in namespaces of its own by bubblewrap: no network, a root that is read-only, no home."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from functools import cache

from engine.script.command import FALLBACK_PATH

# What is the worker's, or a person's, and nothing to a command that is kept apart.
_HIDDEN = ("/home", "/root", "/run", "/tmp", "/var/tmp", "/mnt", "/media", "/srv")  # noqa: S108 - hidden, not used
_APART = ("--unshare-all", "--die-with-parent", "--cap-drop", "ALL")
_TRY_S = 10


@cache
def bubblewrap() -> str | None:
    """The program, when it is there and the kernel lets it work; tried once, which blocks for some milliseconds."""
    for folder in FALLBACK_PATH.split(":"):
        path = os.path.join(folder, "bwrap")
        if os.access(path, os.X_OK):
            argv = isolated(path, ["/bin/true"], "/", hidden=())
            try:
                tried = subprocess.run(argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRY_S)
            except (OSError, subprocess.TimeoutExpired):
                return None
            return path if tried.returncode == 0 else None
    return None


def isolated(
    bwrap: str, argv: Sequence[str], workdir: str, *, files: Sequence[str] = (), hidden: Sequence[str] = ()
) -> tuple[str, ...]:
    """The argv that runs `argv` apart. `workdir` is all that it can write; `files` it can read wherever they lie."""
    covered = [folder for folder in (*_HIDDEN, *hidden) if os.path.isdir(folder) and not os.path.islink(folder)]
    binds = [] if workdir == "/" else ["--bind", workdir, workdir, "--chdir", workdir]
    return (
        *(bwrap, *_APART, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
        *(word for folder in covered for word in ("--tmpfs", folder)),
        *(word for file in files for word in ("--ro-bind", file, file)),
        *(*binds, "--", *argv),
    )
