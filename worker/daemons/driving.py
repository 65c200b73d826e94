"""Driving: what advances the workflows of a deployment, in whichever process."""

from __future__ import annotations

from worker.broker import Publisher
from worker.daemons.wiring import Deployment, Store
from worker.store.api_keys import ApiKeys
from worker.store.workflow_runs import WorkflowRuns
from worker.store.workflows import Workflows
from worker.workflows.definitions import Definitions
from worker.workflows.drive import Driver, log_change
from worker.workflows.load import load_workflows
from worker.workflows.rights import current_rights


def workflow_driver(deployment: Deployment, store: Store, publisher: Publisher, *, log: bool = True) -> Driver:
    """`log`: say in the log of this process what becomes of the steps."""
    return Driver(
        WorkflowRuns(store.redis),
        store.records,
        publisher,
        deployment.catalog.get,
        deployment.settings.default_queue,
        current_rights(ApiKeys(store.redis), deployment.settings.auth.roles),
        *((log_change,) if log else ()),
    )


def workflow_definitions(deployment: Deployment, store: Store) -> Definitions:
    """Raises DeclarationError with the problems of all workflow files."""
    files = load_workflows(deployment.settings.home, deployment.catalog.scripts)
    return Definitions(files, Workflows(store.redis))
