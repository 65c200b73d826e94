"""Outcome: what the engine hands back for one run."""

from __future__ import annotations

from msgspec import Struct

from engine.artifacts import Artifact
from engine.exits import Exit


class Outcome(Struct, frozen=True):
    """The end of one run. A task's own fault is here and is never raised.

    `message` is one line for people, without secrets. `exit` is how the command ended, None when it never
    started. `duration_s` spans the run as the engine saw it, wiping excluded. `log_bytes` counts what the log
    keeps; `log_truncated` says that more was written. `drain` asks the worker to finish what runs and to exit
    with code `drain_code`.
    """

    status: str
    reason: str | None = None
    message: str = ""
    exit: Exit | None = None
    artifacts: tuple[Artifact, ...] = ()
    log_bytes: int = 0
    log_truncated: bool = False
    duration_s: float = 0.0
    dry_run: bool = False
    drain: bool = False
