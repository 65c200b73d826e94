"""Tasks: read them."""

from __future__ import annotations

from fastapi import APIRouter

from worker.api.caller import Asker, Caller, not_allowed
from worker.api.context import Context, Here
from worker.api.documents import TaskDocument, of_task
from worker.api.problem import ApiError, documented
from worker.model import TASK_ID, Task

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("/{task_id}", responses=documented(400, 401, 403, 404, 429))
async def get_task(task_id: str, here: Here, caller: Asker) -> TaskDocument:
    return of_task(await readable_task(task_id, here, caller))


async def readable_task(task_id: str, here: Context, caller: Caller) -> Task:
    """Raises ApiError: 403 without the right to read tasks, or this task's script; 404 when there is none."""
    caller.needs("tasks:read")
    task = await here.records.get(task_id) if TASK_ID.match(task_id) else None
    if task is None:
        raise ApiError(404, "unknown-task", "there is no such task")
    if not caller.may_read_script(task.script):
        raise not_allowed(f"scripts:read:{task.script}")
    return task
