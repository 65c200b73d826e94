"""Schedule documents: schedules as the API takes them and answers with them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from worker.api.body import Asked
from worker.api.documents import Document, StatusName, TaskInList, time
from worker.api.targets import AskedTarget
from worker.api.workflow_documents import WorkflowRunInList
from worker.model.schedule import MOST_CAUGHT_UP
from worker.schedules.view import MOST_PREVIEWED, ScheduleView


class AskedChange(Asked):
    """What is to be different; `docs/reference/schedule.md` says what the fields mean. What is null stays."""

    script: Annotated[str, Field(max_length=63)] | None = None
    workflow: Annotated[str, Field(max_length=63)] | None = None
    cron_expression: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    timezone: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    payload: dict[str, Any] | None = None
    enabled: bool | None = None
    overlap: Literal["skip", "queue", "allow"] | None = None
    catch_up: Literal["none", "once", "all"] | None = None
    catch_up_limit: Annotated[int, Field(ge=1, le=MOST_CAUGHT_UP)] | None = None
    jitter: float | str | None = None
    start_at: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    end_at: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    tags: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=19)] | None = None
    target: AskedTarget | None = None

    def written(self) -> dict[str, Any]:
        """As somebody would have written it in a file; what is null is not there."""
        found = self.model_dump(by_alias=True, exclude_none=True)
        found.pop("name", None)
        return found


class AskedFields(AskedChange):
    """A schedule as it is to be; `docs/reference/schedule.md` says what the fields mean."""

    cron_expression: Annotated[str, Field(min_length=1, max_length=200)]


class AskedSchedule(AskedFields):
    name: Annotated[str, Field(min_length=1, max_length=63)]


class AskedPreview(Asked):
    cron_expression: Annotated[str, Field(min_length=1, max_length=200)]
    timezone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"
    count: Annotated[int, Field(ge=1, le=MOST_PREVIEWED)] = 10


class Trouble(Document):
    """Why the newest slot has no task."""

    message: str
    at: str | None


class ScheduleDocument(Document):
    """`source`: `file` for the operator's own, which is read-only, `store` for others. `owner`: as whom it acts.

    `payload` has secrets masked; it is null when what it runs is gone, or when the server has no key for its secrets.
    `lastRunAt` is the newest slot that has a task, or a workflow run.
    """

    name: str
    script: str | None
    workflow: str | None
    cron_expression: str
    timezone: str
    payload: dict[str, Any] | None
    enabled: bool
    overlap: str
    catch_up: str
    catch_up_limit: int
    jitter: float
    start_at: str | None
    end_at: str | None
    description: str
    tags: list[str]
    target: str | None
    source: Literal["file", "store"]
    file: str | None
    owner: str
    created_at: str | None
    updated_at: str | None
    updated_by: str | None
    next_run_at: str | None
    last_run_at: str | None
    last_task_id: str | None
    last_workflow_run_id: str | None
    last_status: StatusName | None
    skipped: int
    missed: int
    trouble: Trouble | None


class ScheduleList(Document):
    schedules: list[ScheduleDocument]
    total: int


class ScheduleTasks(Document):
    """Newest first. `total`: so many ids are kept; tasks that were pruned are left out. `next`: see `skip`."""

    tasks: list[TaskInList]
    total: int
    next: int | None


class ScheduleRuns(Document):
    """Newest first. `total`: so many ids are kept; runs that were pruned are left out. `next`: see `skip`."""

    runs: list[WorkflowRunInList]
    total: int
    next: int | None


class Preview(Document):
    timezone: str
    times: list[str]


class Preset(Document):
    name: str
    cron_expression: str


class Presets(Document):
    presets: list[Preset]


class Triggered(Document):
    """`taskId`, or of a schedule that starts a workflow `runId`; the other is null."""

    task_id: str | None
    run_id: str | None
    poll_url: str


def of_view(view: ScheduleView) -> ScheduleDocument:
    schedule, state = view.schedule, view.state
    return ScheduleDocument(
        name=schedule.name,
        script=schedule.script,
        workflow=schedule.workflow,
        cron_expression=schedule.cron,
        timezone=schedule.timezone,
        payload=None if view.payload is None else dict(view.payload),
        enabled=schedule.enabled,
        overlap=schedule.overlap,
        catch_up=schedule.catch_up,
        catch_up_limit=schedule.catch_up_limit,
        jitter=schedule.jitter_s,
        start_at=time(schedule.start_at),
        end_at=time(schedule.end_at),
        description=schedule.description,
        tags=list(schedule.tags),
        target=schedule.target,
        source="store" if schedule.file is None else "file",
        file=schedule.file,
        owner=schedule.owner.name,
        created_at=time(schedule.created_at),
        updated_at=time(schedule.updated_at),
        updated_by=schedule.updated_by,
        next_run_at=time(view.next_run),
        last_run_at=time(view.last_run),
        last_task_id=view.last_task,
        last_workflow_run_id=view.last_workflow_run,
        last_status=view.last_status.value if view.last_status else None,
        skipped=state.skipped if state else 0,
        missed=state.missed if state else 0,
        trouble=_trouble(view),
    )


def _trouble(view: ScheduleView) -> Trouble | None:
    if view.state and view.state.trouble:
        return Trouble(message=view.state.trouble, at=time(view.state.trouble_at))
    return Trouble(message=view.schedule.unreadable, at=None) if view.schedule.unreadable else None
