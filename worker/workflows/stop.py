"""Stop: end a run. What runs is cancelled, nothing further begins."""

from __future__ import annotations

from worker.broker import BrokerAway
from worker.model.workflow_run import WorkflowStatus
from worker.store.workflow_runs import WorkflowRuns
from worker.workflows.drive import Driver


async def stop(
    run_id: str, *, runs: WorkflowRuns, driver: Driver, by: str, why: str = ""
) -> tuple[str, WorkflowStatus | None]:
    """`requested`, `already`, `final` or `unknown`, and the status before. Twice changes nothing.

    Should this process die in between, a worker cancels what is left.
    """
    outcome, status = await runs.cancel(run_id, by, why)
    if outcome in ("requested", "already"):
        try:
            await driver.advance(run_id)
        except BrokerAway:
            pass  # nothing begins anyway
    return outcome, status
