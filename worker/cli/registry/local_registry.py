"""Local registry: the registered scripts of the deployment in a folder. As the local user, who may do everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.cli import exit_codes
from worker.cli.failure import Failure

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.daemons.wiring import Store
    from worker.model.registration import Registration
    from worker.operations.registered_scripts import RegisteredScripts


class LocalRegistry:
    """For as long as its store is open."""

    def __init__(self, settings: Settings, store: Store, registered: RegisteredScripts, by: str) -> None:
        self._settings = settings
        self._store = store
        self._registered = registered
        self._by = by

    async def history(self, name: str) -> list[dict[str, Any]]:
        from worker.cli.registry.version_document import in_history

        return [in_history(each) for each in await self._registered.registry.history(name)]

    async def version(self, name: str, number: int) -> dict[str, Any]:
        from worker.cli.registry.version_document import of_version

        return of_version(await self._registered.registry.version(name, number))

    async def diff(self, name: str, one: int, other: int) -> str:
        from worker.operations.register import difference

        first, second = [await self._registered.registry.version(name, number) for number in (one, other)]
        return difference(first, second)

    async def register(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        from worker.cli.registry.version_document import of_version
        from worker.operations.register import register

        made = await register(name, asked, self._by, self._registered, self._settings)
        await self._record("register", made)
        return of_version(made)

    async def update(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        from worker.cli.registry.version_document import of_version
        from worker.operations.register import update

        made = await update(name, asked, self._by, self._registered, self._settings)
        await self._record("update", made)
        return of_version(made)

    async def delete(self, name: str) -> int:
        from worker.operations.register import unregister

        made = await unregister(name, self._by, self._registered)
        await self._record("delete", made)
        return made.version

    async def to_approve(self, name: str) -> Registration:
        found = await self._registered.registry.get(name)
        _check_file(found, self._settings.home)
        return found

    async def approve(self, found: Registration, approval: str) -> None:
        from worker.operations.register import approve

        await approve(found.name, approval, self._registered)
        await self._record("approve", found, f", digest {found.digest}")

    async def _record(self, verb: str, made: Registration, more: str = "") -> None:
        from worker.cli.local import entry, record

        told = entry(f"scripts.{verb}", made.name, detail=f"version {made.version}{more}")
        await record(self._settings, self._store, [told])


@asynccontextmanager
async def local_registry(home: Path) -> AsyncIterator[LocalRegistry]:
    """Raises Failure."""
    from worker.cli.deployment import opened
    from worker.cli.local import local_principal
    from worker.daemons.wiring import open_deployment, registered_scripts
    from worker.operations.register import AlreadyDeclared
    from worker.store.registry import NotRegistered, TooManyApprovals, VersionReplaced

    deployment = open_deployment(home)
    async with opened(deployment.settings) as store:
        registered = registered_scripts(deployment, store)
        try:
            await registered.look()
            yield LocalRegistry(deployment.settings, store, registered, local_principal().name)
        except NotRegistered as error:
            raise Failure(exit_codes.NO_INPUT, str(error)) from None
        except AlreadyDeclared as error:
            raise Failure(exit_codes.NOT_ALLOWED, str(error)) from None
        except (TooManyApprovals, VersionReplaced) as error:
            raise Failure(exit_codes.DATA, str(error)) from None


def _check_file(found: Registration, home: Path) -> None:
    """Whoever approves looks at this file, and what is signed is what was registered."""
    from engine.errors import DeclarationError
    from worker.config.available import inspect

    if found.path is None:
        return
    try:
        _, digest = inspect(home, found.path)
    except DeclarationError as error:
        raise Failure(exit_codes.DATA, f"{found.path}: {error.problems[0].message}") from None
    if digest != found.sha256:
        raise Failure(
            exit_codes.DATA,
            f"{found.path} has changed since version {found.version} was registered; update the script first",
        )
