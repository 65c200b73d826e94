"""Registry door: what the commands ask of registered scripts, wherever they are. Both give the same documents."""

from __future__ import annotations

from typing import Any, Protocol

from worker.model.registration import Registration


class RegistryDoor(Protocol):
    """Every call may raise Failure, Away and Busy; an unknown name is Failure (66), one of a file Failure (77)."""

    async def history(self, name: str) -> list[dict[str, Any]]:
        """The versions, newest first; see `worker.cli.registry.version_document`. Empty for an unknown name."""

    async def version(self, name: str, number: int) -> dict[str, Any]:
        """With what it declares."""

    async def diff(self, name: str, one: int, other: int) -> str: ...

    async def register(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """The version that was made. Raises DeclarationError or PayloadError with all that is wrong."""

    async def update(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """As `register`."""

    async def delete(self, name: str) -> int:
        """The number of the version that says so."""

    async def to_approve(self, name: str) -> Registration:
        """The newest version, whose digest is that of what it declares."""

    async def approve(self, found: Registration, approval: str) -> None: ...
