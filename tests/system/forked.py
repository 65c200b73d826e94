"""Forked: `penstock` as a process of ours that the zygote has forked: a Popen in every way, without the imports."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from inspect import signature
from typing import Any

from tests.system import zygote

_PENSTOCK = (sys.executable, "-m", "worker.cli.main")
# prctl.h
_SET_CHILD_SUBREAPER = 36
# What interpreter and C library look at once, when a program starts: a clock that steps is such a library.
_AT_ITS_START = ("PYTHON", "LD_", "LANG", "LC_", "TZ", "MALLOC_")
_libc = ctypes.CDLL(None)


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start `penstock`. At a terminal, or where the interpreter itself is steered, by an interpreter of its own."""
    env = options.get("env") or os.environ
    # Our own are the zygote's too, which finds its modules without a path.
    changed = {name for name, value in env.items() if os.environ.get(name) != value} - {"PYTHONPATH"}
    steered = any(name.startswith(_AT_ITS_START) for name in changed)
    plain = {"stdin", "stdout", "stderr", "env", "cwd", "start_new_session"} >= set(options)
    terminal = any(isinstance(file, int) and file >= 0 and os.isatty(file) for file in options.values())
    kind = subprocess.Popen if steered or terminal or not plain else _Forked
    return kind([*_PENSTOCK, *arguments], **options)


class _Forked(subprocess.Popen[bytes]):
    def _execute_child(self, argv: Sequence[str], *rest: Any) -> None:
        # Popen has no other door: its names for what it hands over are asked for, so that their order may change.
        handed = signature(super()._execute_child).bind(argv, *rest).arguments  # type: ignore[misc]
        ends = [handed[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        stdio = [number if end == -1 else end for number, end in enumerate((ends[0], ends[3], ends[5]))]
        # Whom the zygote abandons becomes the child of the nearest process above it that asks for such.
        _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        try:
            self.pid = zygote.begin(
                argv[len(_PENSTOCK) :],
                stdio,
                env=os.environ if handed["env"] is None else handed["env"],
                cwd=handed["cwd"] or os.getcwd(),
                stays=True,
                session=handed["start_new_session"],
            )
        finally:
            _libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
            self._close_pipe_fds(*ends)  # type: ignore[attr-defined]
        self._child_created = True
