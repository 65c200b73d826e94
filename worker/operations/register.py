"""Register: what the API and the command line do with registered scripts. None of it makes a worker run one."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Mapping
from typing import Any

from engine.errors import DeclarationError, PenstockError, Problem
from engine.script.load import NAME
from worker.config import Settings
from worker.config.registered import check_registration
from worker.model.command import COMMANDS
from worker.model.registration import Registration
from worker.operations.registered_scripts import RegisteredScripts
from worker.store.registry import APPROVAL_CHARACTERS, AlreadyRegistered

# `scripts/available` and the like are routes, `exec` and `shell` the product's own.
TAKEN = frozenset({"available"}) | COMMANDS


class AlreadyDeclared(PenstockError):
    """There is a script of that name, or one that only a file may change."""


async def register(
    name: str, asked: Mapping[str, Any], by: str, registered: RegisteredScripts, settings: Settings
) -> Registration:
    """A new script. Raises DeclarationError with every problem, AlreadyDeclared, StoreError."""
    if not NAME.fullmatch(name) or name in TAKEN:
        rule = "lower-case letters, digits and -, at most 63 of them, a letter or digit in front"
        raise DeclarationError([Problem(f"the name {name[:100]!a} is not allowed: {rule}", "/name")])
    if registered.catalog.declares(name):
        raise AlreadyDeclared(f"a file of the deployment declares the script {name}")
    declaration = await asyncio.to_thread(_checked, name, asked, registered, settings)
    try:
        made = await registered.registry.create(name, declaration, by)
    except AlreadyRegistered as error:
        raise AlreadyDeclared(str(error)) from None
    await registered.look()
    return made


async def update(
    name: str, asked: Mapping[str, Any], by: str, registered: RegisteredScripts, settings: Settings
) -> Registration:
    """Its next version. Raises DeclarationError with every problem, AlreadyDeclared, NotRegistered, StoreError."""
    _may_change(name, registered)
    declaration = await asyncio.to_thread(_checked, name, asked, registered, settings)
    made = await registered.registry.update(name, declaration, by)
    await registered.look()
    return made


async def unregister(name: str, by: str, registered: RegisteredScripts) -> Registration:
    """Raises AlreadyDeclared, NotRegistered, StoreError."""
    _may_change(name, registered)
    made = await registered.registry.remove(name, by)
    await registered.look()
    return made


async def approve(name: str, approval: str, registered: RegisteredScripts) -> Registration:
    """Keep an approval of the newest version, which is returned. Whether it is one is for workers to verify.

    Raises DeclarationError, AlreadyDeclared, NotRegistered, VersionReplaced, TooManyApprovals, StoreError.
    """
    _may_change(name, registered)
    if len(approval) > APPROVAL_CHARACTERS or not approval.isascii() or approval.count(".") != 2:
        raise DeclarationError([Problem("it is no approval by its form", "/approval")])
    found = await registered.registry.get(name)
    await registered.registry.approve(found, approval)
    return found


def difference(one: Registration, other: Registration) -> str:
    """A unified diff of two versions, as JSON."""
    return "\n".join(difflib.unified_diff(_lines(one), _lines(other), _title(one), _title(other), lineterm=""))


def _lines(each: Registration) -> list[str]:
    return json.dumps(each.declaration, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _title(each: Registration) -> str:
    return f"{each.name} version {each.version}{' (removed)' if each.removed else ''}"


def _may_change(name: str, registered: RegisteredScripts) -> None:
    if registered.catalog.declares(name):
        raise AlreadyDeclared(f"a file of the deployment declares the script {name}; it is read-only here")


def _checked(name: str, asked: Mapping[str, Any], registered: RegisteredScripts, settings: Settings) -> dict[str, Any]:
    """With the keys of plugins, and to a queue that is there: workers consume those that the deployment names."""
    problems: list[Problem] = []
    queue = asked.get("queue")
    queues = {p.script.queue or settings.default_queue for p in registered.catalog if p.script.program is None}
    queues |= {settings.default_queue, *settings.plain, *(settings.worker.queues or ())}
    if isinstance(queue, str) and queue not in queues:
        problems.append(
            Problem(f"no file of the deployment names this queue; there is {', '.join(sorted(queues))}", "/queue")
        )
    try:
        kept = check_registration(name, asked, settings.home)
        registered.prepare(Registration(name, 0, kept))
    except DeclarationError as error:
        problems += error.problems
    if problems:
        raise DeclarationError(problems)
    return kept
