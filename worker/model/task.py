"""Task and run as they are recorded. Times are milliseconds since the epoch by the store's clock."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from engine.hiding import Hiding
from worker.model.status import Status
from worker.model.target import worker_of

# An id becomes a folder name, a key and an environment variable: no slash, no dot in front, no newline.
TASK_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")


class ArtifactRecord(Struct, frozen=True):
    """One stored file of a run. `name` is relative to the run's artifacts folder, `sha256` in hex."""

    name: str
    size: int
    sha256: str
    content_type: str
    public: bool


class ShortLog(Struct, frozen=True):
    """The whole log of a run whose command wrote nothing, and in hexadecimal the index that a kept log has."""

    text: str
    index: str


class StepTask(Struct, frozen=True):
    """Which step of which workflow run a task is an attempt at.

    `inputs`: for each earlier step whose artifacts the command gets, its name and the id of its task.
    """

    run: str
    step: str
    attempt: int
    inputs: tuple[tuple[str, str], ...] = ()


class ChildTask(Struct, frozen=True):
    """The task that one worker got of those that another task stands for."""

    worker: str
    task_id: str


class Run(Hiding, frozen=True):
    """One attempt. `log` is kept with the record when it is short, and else as a file.

    `result` is the JSON that the command of a workflow's step reported, if it is short enough for a record.
    `started_at` is known when the run has ended: its end minus its duration. `exit_code` and
    `signal` are both None when the command did not start or did not end.
    """

    HIDDEN = frozenset({"result"})

    number: int
    status: Status
    reason: str | None = None
    message: str = ""
    worker: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    created_at: int | None = None
    claimed_at: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    duration_ms: int | None = None
    log_bytes: int = 0
    log_truncated: bool = False
    log: ShortLog | None = None
    artifacts: tuple[ArtifactRecord, ...] = ()
    result: str | None = None


class CancelRequest(Struct, frozen=True):
    """Who asked for the end of a task, and why. `at` is the store's time in milliseconds."""

    by: str
    why: str
    at: int


class Task(Struct, frozen=True):
    """One submitted payload with its runs, oldest first.

    `payload` has secrets masked, and is None where it was not read, as in lists; `digest` is of the unmasked one.
    `status`, `reason` and `message` are those of the newest run. `retries` counts the further runs that are still
    allowed.

    `trigger` says by which door it came: `cli`, `api`, `schedule`, `workflow`, or `celery` for a message that
    was enqueued without us. `due_at` is when the newest run may start, if it was delayed. `start_by`, `deadline`,
    `priority` and `key` are as they were registered. `submitted_by` is the name of who submitted it, `submitted_from`
    their address; None where nobody knows. `rerun_of`: the id of the task that it repeats.
    `workflow`: which step it is of which workflow run.

    `target`: for whom it was submitted, as `Target` writes it; None: for any worker. One that stands for those of
    several workers has `children`, in the order of their names, and runs nothing itself; each of these has it as its
    `parent`.
    """

    id: str
    script: str
    status: Status
    created_at: int
    payload: Any
    digest: str
    queue: str
    trigger: str
    reason: str | None = None
    message: str = ""
    finished_at: int | None = None
    dry_run: bool = False
    tags: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    retries: int = 0
    cancel: CancelRequest | None = None
    due_at: int | None = None
    start_by: int | None = None
    deadline: int | None = None
    priority: int = 0
    key: str | None = None
    submitted_by: str | None = None
    submitted_from: str | None = None
    rerun_of: str | None = None
    workflow: StepTask | None = None
    target: str | None = None
    parent: str | None = None
    children: tuple[ChildTask, ...] = ()

    @property
    def worker(self) -> str | None:
        """The only worker that may run it, else the one that has its newest run."""
        return worker_of(self.queue) or self.runs[-1].worker

    @property
    def workers(self) -> frozenset[str | None]:
        """Those that have run it, and the one that alone may; None among them where a run never had one."""
        return frozenset({self.worker, *(run.worker for run in self.runs)})


class NewTask(Struct, frozen=True):
    """What is recorded when a task is made.

    `payload` is the exact JSON for the worker, kept until the task is final; `shown` is the JSON text of the
    same with secrets masked, kept with the record. `retries` is how many runs may follow the first after a
    failure that is not the command's own.

    No run starts before `due_at`. A run that has not started by `start_by` ends as `exception`/`deadline-exceeded`;
    so does, pending or running, what has not ended by `deadline`. `priority` is 0 to 9, 9 the most urgent. `key` is
    an idempotency key of at most 200 printable characters: as long as this task is kept, the same key with the same
    content is this task, whatever its id.
    """

    id: str
    script: str
    payload: bytes
    shown: str
    digest: str
    queue: str
    trigger: str
    dry_run: bool = False
    tags: tuple[str, ...] = ()
    retries: int = 0
    due_at: int | None = None
    start_by: int | None = None
    deadline: int | None = None
    priority: int = 0
    key: str | None = None
    submitted_by: str | None = None
    submitted_from: str | None = None
    rerun_of: str | None = None
    workflow: StepTask | None = None


class RunLimits(Struct, frozen=True):
    """How often a script may run over all workers: `concurrency` at a time, `rate_count` starts in any `rate_per_s`.

    None is no limit. Workers that disagree each go by their own.
    """

    concurrency: int | None = None
    rate_count: int | None = None
    rate_per_s: float | None = None

    def __post_init__(self) -> None:
        if (self.rate_count is None) != (self.rate_per_s is None):
            raise ValueError("a rate is a number of starts and a number of seconds")
        for limit in (self.concurrency, self.rate_count, self.rate_per_s):
            if limit is not None and not limit > 0:
                raise ValueError(f"a limit of {limit} would let nothing run")


class Claim(Struct, frozen=True):
    """A worker's right to one run.

    `token` is the fencing token: a later claim of the same task has a larger one.
    """

    task_id: str
    run: int
    token: int
    lease_s: float


class Resolution(Hiding, frozen=True):
    """The end of a run as it is recorded."""

    HIDDEN = frozenset({"result"})

    status: Status
    reason: str | None = None
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    duration_ms: int | None = None
    log_bytes: int = 0
    log_truncated: bool = False
    log: ShortLog | None = None
    artifacts: tuple[ArtifactRecord, ...] = ()
    dry_run: bool = False
    result: str | None = None
