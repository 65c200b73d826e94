"""Registered scripts: the store's registrations in the catalog of a running process, and what a worker says of them.

A counter in the store tells of a change. The catalog then shows the new state as a whole; what runs goes on.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.errors import DeclarationError
from engine.isolation import bubblewrap
from engine.plugin import Prepared
from worker.config import Catalog
from worker.config.allow import AllowList
from worker.config.registered import script_of
from worker.model.registration import Admission, Registration
from worker.operations.admission import Verdict, admit
from worker.operations.approvals import Approvals
from worker.store.registry import Registry

_logger = structlog.get_logger("penstock.registry")


class Standing(Struct, frozen=True):
    """What a worker says of a registered script in the version that its catalog has. `removed`: it has been deleted."""

    version: int
    removed: bool
    verdict: Verdict

    def __str__(self) -> str:
        return f"version {self.version} of a registered script; {self.verdict.why}"


class Policy(Struct, frozen=True):
    """What a worker goes by. `inline`: it runs bodies."""

    allow: AllowList
    approvals: Approvals
    inline: bool = False


def named_files(catalog: Catalog) -> frozenset[str]:
    """The files that scripts name, without links."""
    words = {word for prepared in catalog for word in prepared.script.command if word.startswith("/")}
    return frozenset(os.path.realpath(word) for word in words)


class RegisteredScripts:
    """Keeps `catalog` in step with the store. With a `policy`, removed scripts stay in it, disabled: a worker has to
    end what waits for them.
    """

    def __init__(self, registry: Registry, catalog: Catalog, home: Path, policy: Policy | None = None) -> None:
        self.registry = registry
        self.catalog = catalog
        self._home = home
        self._policy = policy
        self._state: int | None = None
        self._registrations: dict[str, Registration] = {}
        self._prepared: dict[tuple[str, int], Prepared | None] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._one = asyncio.Lock()

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """The newest version of each, by name."""
        return self._registrations

    def standing(self, name: str) -> Standing | None:
        """None for a script that a file declares."""
        if self.catalog.declares(name) or name not in self._verdicts:
            return None
        registration, verdict = self._registrations[name], self._verdicts[name]
        if verdict.until_s is not None and time.time() >= verdict.until_s:
            verdict = Verdict(False, "its approval has expired")
        return Standing(registration.version, registration.removed, verdict)

    def prepare(self, registration: Registration) -> Prepared:
        """Raises DeclarationError."""
        return self.catalog.plugins.prepare(script_of(registration, self._home))

    async def look(self) -> None:
        """Catch up with what has changed. Raises StoreError; then everything is as it was."""
        async with self._one:
            state = await self.registry.state()
            policy = self._policy
            if state == self._state and not (policy and (policy.allow.changed() or policy.approvals.changed())):
                return
            found = {each.name: each for each in await self.registry.all()}
            verdicts = await self._judge(found) if policy else {}
            prepared = {name: self._script(each, verdicts.get(name)) for name, each in found.items()}
            current = {(each.name, each.version) for each in found.values()}
            self._prepared = {key: each for key, each in self._prepared.items() if key in current}
            self._registrations, self._verdicts = found, verdicts
            self.catalog.register(
                {name: each for name, each in prepared.items() if each and (policy or not found[name].removed)}
            )
            self._state = state

    async def say(self, place: str, worker: str) -> None:
        """Tell the store which of them this worker runs."""
        standings = {name: standing for name in self._verdicts if (standing := self.standing(name))}
        if standings:
            await self.registry.say(
                place,
                {
                    name: Admission(worker, each.version, each.verdict.admitted, each.verdict.why)
                    for name, each in standings.items()
                    if not each.removed
                },
            )

    async def said(self, name: str) -> list[Admission]:
        """What the workers that live say of a script."""
        return (await self.registry.said()).get(name, [])

    async def unsay(self, place: str) -> None:
        await self.registry.unsay(place)

    async def for_others(self, name: str) -> bool:
        """Whether this worker does not run it, and another one that lives says that it does."""
        standing = self.standing(name)
        if standing is None or standing.removed or standing.verdict.admitted:
            return False
        said = await self.said(name)
        return any(each.admits and each.version == standing.version for each in said)

    async def _judge(self, found: Mapping[str, Registration]) -> dict[str, Verdict]:
        assert self._policy
        try:
            allowed = self._policy.allow.read()
        except DeclarationError as error:
            allowed = ()
            for problem in error.problems:
                _logger.error("config/allow.yaml is wrong; it allows nothing", problem=str(problem))
        known = await self._policy.approvals.of(text for each in found.values() for text in each.approvals)
        isolation = False
        if any(each.declaration.get("runner") == "isolated" for each in found.values()):
            isolation = await asyncio.to_thread(bubblewrap) is not None
        return {
            name: admit(
                each,
                allowed=allowed,
                approved=[approved for text in each.approvals if (approved := known.get(text))],
                inline=self._policy.inline,
                isolation=isolation,
                now_s=time.time(),
            )
            for name, each in found.items()
        }

    def _script(self, registration: Registration, verdict: Verdict | None) -> Prepared | None:
        """None for one that this version of Penstock, or this deployment, cannot make a script of."""
        key = registration.name, registration.version
        if key not in self._prepared:
            try:
                self._prepared[key] = self.prepare(registration)
            except DeclarationError as error:
                _logger.warning("a registered script is wrong", script=registration.name, problem=str(error)[:500])
                self._prepared[key] = None
        prepared = self._prepared[key]
        if prepared is None or verdict is None or prepared.script.program is None:
            return prepared
        program = replace(prepared.script.program, sha256=verdict.sha256)
        return replace(prepared, script=replace(prepared.script, program=program))
