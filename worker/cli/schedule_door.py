"""Schedule door: what the commands ask of schedules, wherever they are. Both doors answer with the same documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct


class Given(Struct, frozen=True):
    """What was given on the command line: fields as a file has them, and where the payload is to come from."""

    fields: dict[str, Any]
    parameters: Sequence[str] = ()
    source: str | None = None

    @property
    def payload(self) -> bool:
        return bool(self.parameters) or self.source is not None


class ScheduleDoor(Protocol):
    """Documents are those of `worker.cli.schedule_document`. Every call may raise Failure, Away and Busy.

    An unknown name is Failure (66), a conflict Failure (65).
    """

    async def list(self) -> list[dict[str, Any]]:
        """By name."""

    async def show(self, name: str) -> dict[str, Any]: ...

    async def create(self, name: str, given: Given) -> dict[str, Any]:
        """Raises PayloadError or DeclarationError with all that is wrong."""

    async def update(self, name: str, given: Given) -> dict[str, Any]:
        """Change what is given. Raises as `create`."""

    async def switch(self, name: str, *, enabled: bool) -> None: ...

    async def delete(self, name: str) -> None: ...

    async def trigger(self, name: str) -> str:
        """The id of the task, or of the workflow run."""
