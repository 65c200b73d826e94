"""Workflow door: what the commands ask of workflows, wherever they are. Both doors answer with the same documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct


class Started(Struct, frozen=True):
    """A run that is recorded; not `created` by this call when it was there already, by its id."""

    run_id: str
    created: bool


class WorkflowDoor(Protocol):
    """Documents are those of `worker.cli.workflow_document`. Every call may raise Failure, Away and Busy.

    `patience_s`: how long who follows waits for one that went away.
    """

    patience_s: float

    async def list(self) -> list[dict[str, Any]]:
        """By name, without their definitions."""

    async def find(self, name: str) -> dict[str, Any] | None:
        """With its definition."""

    async def runs(self, workflow: str | None, status: str | None, limit: int) -> dict[str, Any]:
        """Newest first, with `next`."""

    async def run(self, run_id: str) -> dict[str, Any]:
        """Raises Failure (66) for an id that is unknown, or none at all."""

    async def start(self, name: str, parameters: Sequence[str], source: str | None, run_id: str | None) -> Started:
        """Raises PayloadError with every violation, Failure: 64 for an unknown name, 65, 77 for one that is off."""

    async def rerun(self, run_id: str) -> Started:
        """From the failed steps of one that has ended. Raises Failure: 65 where that cannot be, 66."""

    async def cancel(self, run_id: str, why: str) -> tuple[str, str]:
        """`requested`, `already` or `final`, and the status now."""
