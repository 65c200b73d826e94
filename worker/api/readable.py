"""Readable: the task of a path, for who may see it."""

from __future__ import annotations

from worker.api.caller import Caller
from worker.api.context import Context
from worker.api.problem import ApiError
from worker.model.task import TASK_ID, Task

_UNKNOWN = "unknown-task", "there is no such task"


class Hidden(ApiError):
    """As if there were no such task: neither that it is there nor the name of its script is told."""

    def __init__(self) -> None:
        super().__init__(404, *_UNKNOWN)


async def readable_task(task_id: str, here: Context, caller: Caller) -> Task:
    return await found_task(task_id, here, caller, "tasks:read")


async def found_task(task_id: str, here: Context, caller: Caller, scope: str) -> Task:
    """Raises ApiError: 403 without the scope; 404 when there is none, or its script may not be read."""
    caller.needs(scope)
    task = await here.records.get(task_id) if TASK_ID.match(task_id) else None
    if task is None:
        raise unknown_task()
    if not caller.may_read_script(task.script):
        raise Hidden
    return task


def unknown_task() -> ApiError:
    return ApiError(404, *_UNKNOWN)
