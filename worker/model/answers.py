"""What the store answers to the verbs that change a record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from worker.model.status import Status
from worker.model.task import CancelRequest, Claim


class Registered(StrEnum):
    """`CONFLICT`: the id belongs to a task with another script or payload, which is left as it is."""

    CREATED = "created"
    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The run is ours.

    `payload` is the exact JSON that was registered; `retries` counts the runs that may follow.

    `dry_run` and `created_at` (milliseconds, the store's clock) are the task's.
    """

    claim: Claim
    payload: bytes
    script: str
    queue: str
    retries: int
    dry_run: bool
    created_at: int
    cancel: CancelRequest | None = None

    @property
    def cancel_requested(self) -> bool:
        return self.cancel is not None


class Refusal(StrEnum):
    """Why a claim was not granted.

    `FINAL`: nothing is left to do. `BUSY`: another worker has it, or its lease passed and is not swept yet,
    or it is not due yet. `CONFLICT`: the id belongs to another task. `UNKNOWN`: no such task.
    """

    FINAL = "final"
    BUSY = "busy"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Refused:
    """`status` is the recorded task's, None when there is none."""

    refusal: Refusal
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """`lost`: somebody else may have the run by now, and the command has to be ended."""

    claim: Claim
    lost: bool
    cancel: CancelRequest | None = None

    @property
    def cancel_requested(self) -> bool:
        return self.cancel is not None


class ResolveOutcome(StrEnum):
    """`ALREADY`: recorded by an earlier call with the same claim. `STALE`: not our claim; nothing changed."""

    RECORDED = "recorded"
    ALREADY = "already"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The answer to a resolve. `next_run`: the number of the run that follows, None when there is none."""

    outcome: ResolveOutcome
    next_run: int | None = None


class CancelOutcome(StrEnum):
    """`CANCELLED`: it had not started and never will. `REQUESTED`: its worker is told. `ALREADY`: it was told."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    ALREADY = "already"
    FINAL = "final"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a cancel: the task's status afterwards and the worker that runs it."""

    outcome: CancelOutcome
    status: Status | None = None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """A pending run whose message is to be published (again)."""

    task_id: str
    script: str
    queue: str
    run: int


@dataclass(frozen=True, slots=True)
class Rescued:
    """A run whose lease passed, with the status that it was given. `retried`: another run follows it."""

    task_id: str
    script: str
    run: int
    worker: str
    status: Status
    retried: bool


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did, and what is to be published now. `more`: it stopped at its limit."""

    rescued: tuple[Rescued, ...] = ()
    publish: tuple[Hint, ...] = ()
    more: bool = False
