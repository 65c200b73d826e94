"""Local: who sits at this machine, and the record of what they did.

Who can use the deployment's files and its store can do everything, so nothing is asked for.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker.cli.notice import notice
from worker.model.access import Principal
from worker.model.audit import AuditEntry

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.daemons.wiring import Store


def local_principal() -> Principal:
    """The user of this machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "cli"
    return Principal(name or "cli", "local", frozenset({"*"}))


def entry(action: str, target: str, *, done: bool = True, detail: str = "") -> AuditEntry:
    return AuditEntry.by(local_principal(), action, "allowed" if done else "failed", target, detail=detail)


async def record(settings: Settings, store: Store, entries: Sequence[AuditEntry]) -> None:
    """What was done is done: a store that cannot take the entry now is told of, and changes nothing."""
    from worker.daemons.wiring import open_audit
    from worker.store import StoreError

    audit = open_audit(settings, store)
    try:
        for entry in entries:
            await audit.append(entry)
    except StoreError as error:
        notice(f"the audit could not be written: {error}")
