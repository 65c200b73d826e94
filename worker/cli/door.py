"""Door: what the commands ask for, wherever the tasks are. One door leads to a deployment's own store, one to a server.

A command works at a `Site`, and opens its `Door` when it needs the tasks. Both doors answer with the same values and
fail with the same `Failure`, so that what a command prints and its exit code do not depend on which one it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from msgspec import Struct

from worker.cli import exit_codes
from worker.cli.failure import Failure

if TYPE_CHECKING:
    from worker.cli.keyring import Keyring
    from worker.cli.moment import Moment
    from worker.cli.registry.registry_door import RegistryDoor
    from worker.cli.roster import Roster
    from worker.cli.schedule_door import ScheduleDoor
    from worker.cli.submitting import Accepted, Request
    from worker.cli.verdict import Verdict
    from worker.cli.workflow_door import WorkflowDoor
    from worker.model.answers import Cancelled
    from worker.model.audit import AuditFilter, AuditPage
    from worker.model.listing import TaskPage
    from worker.model.live_log import LiveLogPart
    from worker.model.overview import Overview
    from worker.model.status import Status
    from worker.model.task import ArtifactRecord, Run, Task


class Away(Failure):
    """Whoever keeps the tasks does not answer for now; what only reads may be asked again."""

    after_s = 0.0

    def __init__(self, who: str, message: str) -> None:
        self.who = who
        super().__init__(exit_codes.UNAVAILABLE, message)

    @property
    def state(self) -> str:
        return f"{self.who} does not answer; waiting for it"


class Busy(Failure):
    """Whoever keeps the tasks asks us to come again, `after_s` later at the earliest."""

    def __init__(self, who: str, message: str, after_s: float) -> None:
        self.who = who
        self.after_s = after_s
        super().__init__(exit_codes.TRY_AGAIN, message)

    @property
    def state(self) -> str:
        return f"{self.who} asks to wait; trying again"


class Form(Struct, frozen=True):
    """What a payload has to look like: the JSON Schema of the script, and how large it may be."""

    schema: Mapping[str, Any]
    max_bytes: int


class Door(Protocol):
    """Every call may raise Away or Busy, and Failure with the exit code of what is wrong.

    `patience_s`: how long who follows waits for one that went away.
    """

    patience_s: float

    async def task(self, task_id: str) -> Task:
        """Raises Failure (66) for an id that is unknown, or none at all."""

    async def tasks(self, *, script: str | None, status: Status | None, limit: int, before: str | None) -> TaskPage:
        """Newest first."""

    async def submit(self, request: Request) -> Accepted:
        """Raises PayloadError with every violation, Failure (65) for a conflict."""

    async def rerun(self, task_id: str) -> Accepted:
        """A new task with the payload of one that has ended. Raises Failure: 65 where that cannot be, 66."""

    async def overview(self) -> Overview:
        """Queues, workers and how many tasks have each status."""

    async def audit(
        self, wanted: AuditFilter, span: tuple[Moment | None, Moment | None], limit: int, before: str | None
    ) -> AuditPage:
        """Entries, newest first. `span`: since and until, of which a duration counts back from now."""

    def cancel(self, task_ids: Sequence[str], *, why: str) -> AsyncIterator[tuple[str, Cancelled]]:
        """The answer for each id, in their order; `unknown` is no failure."""

    def cancel_all(
        self, statuses: Sequence[Status], *, script: str | None, why: str
    ) -> AsyncIterator[tuple[str, Cancelled]]:
        """Whatever has one of the statuses when it is reached."""

    def live_log(self, task_id: str, run: int, after: str) -> AsyncGenerator[LiveLogPart, None]:
        """The log as it comes, from behind the part `after` ("0": from the beginning) to its end; close it."""

    def kept_bytes(self, part_id: str) -> int | None:
        """How much of the log that is kept was seen with that part; None: count what was shown."""

    async def kept_log(self, task_id: str, run: Run, offset: int = 0) -> BinaryIO:
        """The log of a run that has ended, from that byte on. FileNotFoundError when there is none there."""

    async def artifact(self, task_id: str, run: Run, artifact: ArtifactRecord) -> BinaryIO:
        """Its bytes, not compared with the record yet. FileNotFoundError when it is not there."""


class Site(Protocol):
    """Where a command works."""

    def open(self) -> AbstractAsyncContextManager[Door]:
        """Raises Away when nobody answers there."""

    def keys(self) -> AbstractAsyncContextManager[Keyring]:
        """The API keys. Raises Away when nobody answers there."""

    def workers(self) -> AbstractAsyncContextManager[Roster]:
        """The register of workers. Raises Away when nobody answers there."""

    def schedules(self) -> AbstractAsyncContextManager[ScheduleDoor]:
        """Raises Away when nobody answers there."""

    def registry(self) -> AbstractAsyncContextManager[RegistryDoor]:
        """Raises Away when nobody answers there."""

    async def available_files(self) -> list[dict[str, Any]]:
        """Those below scripts/ that no script names: `path, name, kind, size, modifiedAt`."""

    def workflows(self) -> AbstractAsyncContextManager[WorkflowDoor]:
        """Raises Away when nobody answers there."""

    async def declared_workflow(self, name: str) -> dict[str, Any] | None:
        """One of a file here, which needs no store."""

    async def verdict(self, token: str) -> Verdict:
        """Whether that token (JWT) is accepted. Raises Failure where none is."""

    async def scripts(self) -> list[dict[str, Any]]:
        """All scripts, as `scripts --json` lists them."""

    async def script(self, name: str) -> dict[str, Any]:
        """All that one declares. Raises Failure (64) for an unknown one."""

    async def file(self, name: str) -> str:
        """The text of a shared file. Raises Failure: 65 for what is no text or too large, 66 for none."""

    async def files(self, folder: str | None) -> tuple[list[dict[str, Any]], bool]:
        """The shared files below it, as `files list --json` prints them, and whether these are all. Raises Failure."""

    async def form(self, script: str, *, typed: bool) -> Form:
        """`typed`: the schema is wanted, and may be empty otherwise; then nothing may have been looked at.

        Raises Failure: 64 for an unknown script, 77 for one that is disabled.
        """


def run_of(task: Task, number: int | None) -> Run:
    """The run of that number, the newest without one."""
    if number is None:
        return task.runs[-1]
    for run in task.runs:
        if run.number == number:
            return run
    raise Failure(exit_codes.NO_INPUT, f"task {task.id} has no run {number}; its newest is {task.runs[-1].number}")
