"""Exit codes: what a command's end means for its run."""

from __future__ import annotations

import signal as signals
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct


class Exit(Struct, frozen=True):
    """How the main process ended: exactly one of the two is set."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            return f"signal {self.signal} ({signals.Signals(self.signal).name})"
        except ValueError:
            return f"signal {self.signal}"


class Verdict(Struct, frozen=True):
    """What one end of a command means. `drain`: the worker finishes what runs, then exits with code 4."""

    status: str
    reason: str | None = None
    drain: bool = False


COMPLETED = Verdict("completed")
FAILED = Verdict("failed", "exit-code")
MALFORMED = Verdict("exception", "malformed-payload")
INTERNAL = Verdict("exception", "internal-error")
FATAL = Verdict("exception", "internal-error", drain=True)
SHUTDOWN = Verdict("exception", "worker-shutdown")
UNAVAILABLE = Verdict("exception", "resource-unavailable")


class ExitMap(Struct, frozen=True):
    """Exit code to verdict. `other` is for every code that is not named; a signal is always an internal error."""

    name: str
    codes: Mapping[int, Verdict]
    other: Verdict

    def verdict(self, exit: Exit) -> Verdict:
        if exit.code is None:
            return INTERNAL
        return self.codes.get(exit.code, self.other)


DECLARATIVE = ExitMap(
    "declarative",
    MappingProxyType({0: COMPLETED, 1: FAILED, 2: MALFORMED, 3: INTERNAL, 4: FATAL}),
    INTERNAL,
)
PLAIN = ExitMap("plain", MappingProxyType({0: COMPLETED}), FAILED)
# Source: the exit codes of Mozilla's scriptworker (STATUSES in its constants): 2 worker-shutdown,
# 3 malformed-payload, 4 resource-unavailable, 5 internal-error.
SCRIPTWORKER = ExitMap(
    "scriptworker",
    MappingProxyType({0: COMPLETED, 1: FAILED, 2: SHUTDOWN, 3: MALFORMED, 4: UNAVAILABLE, 5: INTERNAL}),
    INTERNAL,
)
PRESETS: Mapping[str, ExitMap] = MappingProxyType({m.name: m for m in (DECLARATIVE, PLAIN, SCRIPTWORKER)})

# The words that an explicit map may use for a code, as in `exitCodes: {0: completed, 75: internal-error}`.
MEANINGS: Mapping[str, Verdict] = MappingProxyType(
    {
        "completed": COMPLETED,
        "failed": FAILED,
        "malformed-payload": MALFORMED,
        "internal-error": INTERNAL,
        "drain": FATAL,
        "worker-shutdown": SHUTDOWN,
        "resource-unavailable": UNAVAILABLE,
    }
)
