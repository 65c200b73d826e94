"""Authorise: what a principal may do with scripts, tasks and keys. Decides; proves nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.errors import PenstockError
from engine.plugin import Prepared
from engine.script import Script
from worker.model.access import Principal, covers_all
from worker.model.command import COMMANDS, SCOPE


class NotAllowed(PenstockError):
    """The principal does not hold what this needs. `missing`: the scope, or those of which one would do."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        needed = missing[0] if len(missing) == 1 else f"one of {', '.join(missing)}"
        super().__init__(f"not allowed: that needs {needed}")


def missing_to_execute(principal: Principal, script: Script) -> tuple[str, ...]:
    """The scope that is missing to run it, or those of which one would do; empty: nothing.

    `scripts:execute` for this script, and where it names `allowedScopes` one of them. For the product's own commands
    theirs, which says that it is no script like others.
    """
    if script.name in COMMANDS:
        command = f"{SCOPE}:{script.name}"
        return () if principal.may(command) else (command,)
    needed = f"scripts:execute:{script.name}"
    if not principal.may(needed):
        return (needed,)
    return () if principal.may_any(script.allowed_scopes) else script.allowed_scopes


def check_execute(principal: Principal, script: Script) -> None:
    """Raises NotAllowed."""
    if missing := missing_to_execute(principal, script):
        raise NotAllowed(*missing)


def may_read(principal: Principal, script: Script) -> bool:
    return principal.may(f"scripts:read:{script.name}")


def may_read_task(principal: Principal, script: str) -> bool:
    """Whether tasks of the script of that name may be read; it need not be declared any more."""
    return principal.may("tasks:read") and principal.may(f"scripts:read:{script}")


def readable(principal: Principal, scripts: Mapping[str, Prepared]) -> frozenset[str]:
    """The names of the scripts that may be read."""
    return frozenset(name for name, prepared in scripts.items() if may_read(principal, prepared.script))


def check_grant(principal: Principal, scopes: Iterable[str]) -> None:
    """Whether a key with these scopes may be made: nobody hands on what they do not hold. Raises NotAllowed.

    A scope that ends with `*` takes one that covers all that it stands for.
    """
    for scope in sorted(scopes):
        if not covers_all(principal.scopes, scope):
            raise NotAllowed(scope)
