"""Values of the worker and the table of transitions. Pure: no I/O, the clock is an argument."""

from worker.model.answers import (
    Cancelled,
    CancelOutcome,
    Claimed,
    Hint,
    Refusal,
    Refused,
    Registered,
    Renewal,
    Rescued,
    Resolved,
    ResolveOutcome,
    Swept,
)
from worker.model.listing import Event, TaskPage
from worker.model.live_log import LiveEnd, LiveGap, LiveLines, LiveLogPart
from worker.model.status import FINAL, TRANSITIONS, Status
from worker.model.task import (
    TASK_ID,
    ArtifactRecord,
    CancelRequest,
    Claim,
    NewTask,
    Resolution,
    Run,
    Task,
)

__all__ = [
    "FINAL",
    "TASK_ID",
    "TRANSITIONS",
    "ArtifactRecord",
    "CancelOutcome",
    "CancelRequest",
    "Cancelled",
    "Claim",
    "Claimed",
    "Event",
    "Hint",
    "LiveEnd",
    "LiveGap",
    "LiveLines",
    "LiveLogPart",
    "NewTask",
    "Refusal",
    "Refused",
    "Registered",
    "Renewal",
    "Rescued",
    "Resolution",
    "ResolveOutcome",
    "Resolved",
    "Run",
    "Status",
    "Swept",
    "Task",
    "TaskPage",
]
