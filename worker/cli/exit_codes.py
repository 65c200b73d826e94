"""Exit codes of the command `penstock`: the one table behind the code, `--help` and the documentation.

0 to 4 are a script's own (the interface of a command); 64 to 77 follow sysexits.h; 124 and 130 are what timeout(1)
and shells use.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COMPLETED = 0
FAILED = 1
MALFORMED = 2
INTERNAL_ERROR = 3
FATAL = 4
USAGE = 64
DATA = 65
NO_INPUT = 66
UNAVAILABLE = 69
SOFTWARE = 70
CANNOT_CREATE = 73
TRY_AGAIN = 75
NOT_ALLOWED = 77
TIMEOUT = 124
INTERRUPTED = 130
BROKEN_PIPE = 141

TABLE: Mapping[int, str] = MappingProxyType(
    {
        COMPLETED: "done; of run and exec: the task completed",
        FAILED: "the task failed (its command said so, or an artifact was refused)",
        MALFORMED: "the task ended as malformed-payload",
        INTERNAL_ERROR: "the task ended as internal-error, or by another exception",
        FATAL: "the same, and its command asked the worker to stop; up, worker: stopped so",
        USAGE: "wrong usage: an unknown command, option, script or status",
        DATA: "wrong data: a refused payload, a conflict, problems in the deployment",
        NO_INPUT: "not found: a task, a run, an artifact, a log, a file to read, a worker that --target means",
        UNAVAILABLE: "the store, the broker or the server cannot be reached",
        SOFTWARE: "a fault of Penstock's own",
        CANNOT_CREATE: "a file or folder cannot be written",
        TRY_AGAIN: "try again: the worker stopped, lost the run or was silent, a resource was missing, or --timeout",
        NOT_ALLOWED: "not allowed: the script is disabled, a scope is missing, or a token is not valid",
        TIMEOUT: "the task ended by a time limit or its deadline",
        INTERRUPTED: "the task was cancelled, or Ctrl-C",
        BROKEN_PIPE: "whoever read the output has gone",
    }
)

_BY_REASON: Mapping[str, int] = MappingProxyType(
    {
        "malformed-payload": MALFORMED,
        "worker-shutdown": TRY_AGAIN,
        "claim-expired": TRY_AGAIN,
        "no-answer": TRY_AGAIN,
        "resource-unavailable": TRY_AGAIN,
        "script-disabled": NOT_ALLOWED,
        "not-admitted": NOT_ALLOWED,
        "not-allowed": NOT_ALLOWED,
        "deadline-exceeded": TIMEOUT,
    }
)
_BY_STATUS: Mapping[str, int] = MappingProxyType(
    {"completed": COMPLETED, "partial": FAILED, "failed": FAILED, "timeout": TIMEOUT, "cancelled": INTERRUPTED}
)


def of_task(status: str, reason: str | None, exit_code: int | None) -> int:
    """The exit code of `run` and `exec` for a task that ended so; `exit_code` is its command's own, if any."""
    if status != "exception":
        return _BY_STATUS[status]
    if reason == "internal-error" and exit_code == FATAL:
        return FATAL
    return _BY_REASON.get(reason or "", INTERNAL_ERROR)


def table() -> str:
    """The table as text for `--help`, which must not wrap it."""
    return "\n".join(["\b", "Exit codes:", *(f"  {code:>3}  {meaning}" for code, meaning in TABLE.items())])
