"""Status: the states of a task and of a run, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """`PARTIAL`: of a task that stands for those of several workers, of which some completed and some did not."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.PARTIAL, Status.FAILED, Status.EXCEPTION, Status.TIMEOUT, Status.CANCELLED})

# A run goes from the key to one of the values, and never back. A pending run may end without having run:
# cancelled, past its deadline, or with a payload that no worker would pass on.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING, Status.CANCELLED, Status.EXCEPTION}),
    Status.RUNNING: FINAL,
    **{status: frozenset() for status in FINAL},
}
