"""Prune: forget runs of workflows that have ended, by the bounds that hold for tasks."""

from __future__ import annotations

from worker.store.workflow_runs import WorkflowRuns

_AT_A_TIME = 200


async def prune_runs(runs: WorkflowRuns, *, age_s: float | None, count: int | None) -> int:
    """How many were removed. A run that has not ended stays; the tasks of its steps have bounds of their own."""
    age_ms = None if age_s is None else round(age_s * 1000)
    removed = 0
    while some := await runs.prune(older_than_ms=age_ms, keep_count=count, limit=_AT_A_TIME):
        removed += some
        if some < _AT_A_TIME:
            break
    return removed
