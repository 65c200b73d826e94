"""Workflow following: a run, until it ends, for who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from worker.cli import exit_codes
from worker.cli.door import Away, Busy
from worker.cli.workflow_door import WorkflowDoor
from worker.model.workflow_run import WorkflowStatus

# How often the record is looked at for somebody who waits: at first at once, later seldom.
_FIRST_LOOK_S = 0.02
_MOST_SELDOM_S = 0.5
_CODES = {
    WorkflowStatus.COMPLETED: exit_codes.COMPLETED,
    WorkflowStatus.FAILED: exit_codes.FAILED,
    WorkflowStatus.CANCELLED: exit_codes.INTERRUPTED,
}


async def end_of(workflows: WorkflowDoor, run_id: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """The run when it has ended; `tell` hears of each step that begins or ends meanwhile.

    Raises Away or Busy when nobody answered for longer than the door has patience.
    """
    told: dict[str, str] = {}
    pause_s, away_s = _FIRST_LOOK_S, 0.0
    while True:
        try:
            run = await workflows.run(run_id)
            away_s = 0.0
        except (Away, Busy) as error:
            if away_s == 0:
                tell(error.state)
            wait_s = max(_MOST_SELDOM_S, error.after_s)
            away_s += wait_s
            if away_s > workflows.patience_s:
                raise
            await asyncio.sleep(wait_s)
            continue
        for step in run["steps"]:
            line = f"{step['name']}: {step['status']}" + (f" ({step['reason']})" if step["reason"] else "")
            if step["attempt"]:
                line += f", attempt {step['attempt'] + 1}"
            if step["status"] != "waiting" and told.get(step["name"]) != line:
                told[step["name"]] = line
                pause_s = _FIRST_LOOK_S
                about = f" {step['taskId']}" if step["taskId"] else ""
                tell(line + about + (f": {step['message']}" if step["message"] else ""))
        if WorkflowStatus(run["status"]).final:
            return run
        await asyncio.sleep(pause_s)
        pause_s = min(_MOST_SELDOM_S, pause_s * 1.5)


def exit_code_of(run: dict[str, Any]) -> int:
    return _CODES[WorkflowStatus(run["status"])]
