"""Documents of workflows and their runs, as `penstock workflows ... --json` prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from worker.model.times import time_text

if TYPE_CHECKING:
    from worker.model.task import Task
    from worker.model.workflow_run import StepState, WorkflowRun
    from worker.workflows.definitions import Definition


def of_workflow(definition: Definition) -> dict[str, Any]:
    workflow, stored = definition.workflow, definition.stored
    return {
        "name": workflow.name,
        "title": workflow.title,
        "description": workflow.description,
        "tags": list(workflow.tags),
        "enabled": workflow.enabled,
        "source": "file" if stored is None else "api",
        "file": workflow.file,
        "version": stored.version if stored else None,
        "createdAt": time_text(stored.created_at) if stored else None,
        "createdBy": stored.created_by if stored else None,
        "updatedAt": time_text(stored.updated_at) if stored else None,
        "updatedBy": stored.updated_by if stored else None,
        "steps": [step.name for step in workflow.steps],
        "scripts": sorted({step.script for step in workflow.steps}),
    }


def details_of(definition: Definition) -> dict[str, Any]:
    return {**of_workflow(definition), "definition": dict(definition.workflow.document)}


def run_in_list(run: WorkflowRun) -> dict[str, Any]:
    return {
        "runId": run.id,
        "workflow": run.workflow,
        "status": run.status.value,
        "failedSteps": list(run.failed_steps),
        "trigger": run.trigger,
        "createdAt": time_text(run.created_at),
        "finishedAt": time_text(run.finished_at),
        "startedBy": run.principal.name,
        "startedFrom": run.address,
        "rerunOf": run.rerun_of,
        "cancel": {"by": run.cancel.by, "why": run.cancel.why, "at": time_text(run.cancel.at)} if run.cancel else None,
        "stepsDone": sum(state.status.final for state in run.steps),
        "stepsTotal": len(run.steps),
    }


def of_run(run: WorkflowRun, tasks: Mapping[str, Task]) -> dict[str, Any]:
    from worker.operations.digest import open_digest

    return {
        **run_in_list(run),
        "payload": run.shown,
        "digest": open_digest(run),
        "steps": [_step(state, tasks.get(state.task or "")) for state in run.steps],
        "definition": json.loads(run.definition),
    }


def _step(state: StepState, task: Task | None) -> dict[str, Any]:
    from worker.cli.document import in_list

    return {
        "name": state.name,
        "status": state.status.value,
        "reason": state.reason,
        "message": state.message or None,
        "attempt": state.attempt,
        "kept": state.kept,
        "taskId": state.task,
        "startedAt": time_text(state.started_at),
        "finishedAt": time_text(state.finished_at),
        "task": in_list(task) if task else None,
    }
