"""What the store answers to the verbs that change a record."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from worker.model.status import Status
from worker.model.task import CancelRequest, Claim, StepTask


class Registered(StrEnum):
    """`CONFLICT`: id or key belong to a task with another script or payload, which is left as it is."""

    CREATED = "created"
    SAME = "same"
    CONFLICT = "conflict"


class Registration(Struct, frozen=True):
    """`task_id` is the recorded task's: not the one that was asked for when the idempotency key is another's."""

    outcome: Registered
    task_id: str


class Claimed(Struct, frozen=True):
    """The run is ours.

    `payload` is the exact JSON that was registered; `retries` counts the runs that may follow.

    `trigger`, `dry_run`, `created_at` and `deadline` (milliseconds, the store's clock) are the task's. `now` is the
    time of the claim by the same clock.
    """

    claim: Claim
    payload: bytes
    script: str
    queue: str
    retries: int
    trigger: str
    dry_run: bool
    created_at: int
    now: int
    deadline: int | None = None
    cancel: CancelRequest | None = None
    workflow: StepTask | None = None

    @property
    def cancel_requested(self) -> bool:
        return self.cancel is not None

    @property
    def runs(self) -> int:
        """How many runs of the task there were before this one."""
        return self.claim.run


class Refusal(StrEnum):
    """Why a claim was not granted.

    `FINAL`: nothing is left to do; also when it was to have started by now. `BUSY`: another worker has it, or its
    lease passed and is not swept yet, or it is not due yet. `THROTTLED`: its script runs as often as it may; it stays
    pending, and is handed out to be published when there is room. `CONFLICT`: the id or the key belongs to another
    task. `DUPLICATE`: the key belongs to a task with another id and the same content, which is not affected.
    `UNKNOWN`: no such task. Whatever it is, the message has been dealt with.
    """

    FINAL = "final"
    BUSY = "busy"
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class Refused(Struct, frozen=True):
    """`status` is the recorded task's, None when there is none."""

    refusal: Refusal
    status: Status | None = None


class Renewal(Struct, frozen=True):
    """`lost`: somebody else may have the run by now, and the command has to be ended.

    `overdue`: the task's deadline has passed. The claim is still ours, for some seconds: to end the command and to
    record that.
    """

    claim: Claim
    lost: bool
    cancel: CancelRequest | None = None
    overdue: bool = False

    @property
    def cancel_requested(self) -> bool:
        return self.cancel is not None


class ResolveOutcome(StrEnum):
    """`ALREADY`: recorded by an earlier call with the same claim. `STALE`: not our claim; nothing changed."""

    RECORDED = "recorded"
    ALREADY = "already"
    STALE = "stale"


class Hint(Struct, frozen=True):
    """A pending run whose message is to be published (again). `priority` is 0 to 9, 9 the most urgent.

    `waited_s` is 0 when it had no message yet. Else it has waited for its claim so long, and its message may be lost,
    or be behind others.
    """

    task_id: str
    script: str
    queue: str
    run: int
    priority: int = 0
    waited_s: float = 0.0


class Resolved(Struct, frozen=True):
    """The answer to a resolve. `next_run`: the number of the run that follows, None when there is none.

    `publish`: what is to be published now: the next run if it is due at once, and a task that waited for room. What
    is not published is handed out again by a sweep, later.
    """

    outcome: ResolveOutcome
    next_run: int | None = None
    publish: tuple[Hint, ...] = ()


class CancelOutcome(StrEnum):
    """`CANCELLED`: it had not started and never will. `REQUESTED`: its worker is told. `ALREADY`: it was told."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    ALREADY = "already"
    FINAL = "final"
    UNKNOWN = "unknown"


class Cancelled(Struct, frozen=True):
    """The answer to a cancel: the task's status afterwards and the worker that runs it."""

    outcome: CancelOutcome
    status: Status | None = None
    worker: str | None = None


class Rescued(Struct, frozen=True):
    """A run whose lease passed, with the status that it was given. `retried`: another run follows it."""

    task_id: str
    script: str
    run: int
    worker: str
    status: Status
    retried: bool


class Overdue(Struct, frozen=True):
    """A task whose time had passed, with the status that it was given. `worker` is None when the run never started."""

    task_id: str
    script: str
    run: int
    worker: str | None
    status: Status


class Finished(Struct, frozen=True):
    """A final task, and when it finished, in milliseconds since the epoch."""

    task_id: str
    script: str
    at: int


class Swept(Struct, frozen=True):
    """What one sweep did, and what is to be published now. `more`: it stopped at its limit."""

    overdue: tuple[Overdue, ...] = ()
    rescued: tuple[Rescued, ...] = ()
    publish: tuple[Hint, ...] = ()
    more: bool = False
