"""Definitions: the workflows of a deployment, those of its files and those that were made through the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from engine.errors import DeclarationError
from worker.model.workflow_run import WORKFLOW_NAME, StoredWorkflow
from worker.store.workflows import Workflows
from worker.workflows.read import read_workflow
from worker.workflows.workflow import Workflow


class Definition(Struct, frozen=True):
    """One workflow, and what the store knows of it when it is kept there. A file's has no history here."""

    workflow: Workflow
    stored: StoredWorkflow | None = None


class Definitions:
    """A file comes before what the store has under the same name, and cannot be changed through the API."""

    def __init__(self, files: Mapping[str, Workflow], stored: Workflows) -> None:
        self.files = files
        self.stored = stored

    async def get(self, name: str) -> Definition | None:
        """None as well for what cannot be a name. What the store has was checked when it was saved."""
        if name in self.files:
            return Definition(self.files[name])
        found = await self.stored.get(name) if WORKFLOW_NAME.match(name) else None
        return None if found is None else _of(found)

    async def all(self) -> Sequence[Definition]:
        """By name."""
        kept = [_of(found) for found in await self.stored.list() if found.name not in self.files]
        found = [*(Definition(workflow) for workflow in self.files.values()), *(one for one in kept if one)]
        return sorted(found, key=lambda definition: definition.workflow.name)


def _of(stored: StoredWorkflow) -> Definition | None:
    """None for one that an earlier version of the program has let in, and this one does not."""
    try:
        return Definition(read_workflow(stored.name, stored.document, scripts=None), stored)
    except DeclarationError:
        return None
