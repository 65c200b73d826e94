"""Acting: the registry of the deployment in a folder, for one command, and what it raises as failures of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli import exit_codes
from worker.cli.failure import Failure

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.daemons.wiring import Store
    from worker.model.registration import Registration
    from worker.operations.registered_scripts import RegisteredScripts


@dataclass(frozen=True, slots=True)
class Acting:
    settings: Settings
    store: Store
    registered: RegisteredScripts
    by: str

    async def record(self, action: str, target: str, detail: str = "") -> None:
        from worker.cli.local import entry, record

        await record(self.settings, self.store, [entry(action, target, detail=detail)])


@asynccontextmanager
async def acting(home: Path) -> AsyncIterator[Acting]:
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
            yield Acting(deployment.settings, store, registered, local_principal().name)
        except NotRegistered as error:
            raise Failure(exit_codes.NO_INPUT, str(error)) from None
        except AlreadyDeclared as error:
            raise Failure(exit_codes.NOT_ALLOWED, str(error)) from None
        except (TooManyApprovals, VersionReplaced) as error:
            raise Failure(exit_codes.DATA, str(error)) from None


def folder_only(ctx: click.Context) -> None:
    from worker.cli.site import refuse_server

    refuse_server(ctx, ctx.command_path.partition(" ")[2], kept=True)


def version_document(each: Registration) -> dict[str, Any]:
    """As the API answers with it."""
    from worker.model.times import known_time

    return {
        "name": each.name,
        "version": each.version,
        "digest": each.digest,
        "sha256": each.sha256,
        "removed": each.removed,
        "registeredBy": each.by,
        "registeredAt": known_time(each.at),
        "declaration": dict(each.declaration),
    }
