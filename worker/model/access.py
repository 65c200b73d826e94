"""Access: who asks, and what they may do. Pure; who proves to be whom is not decided here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from msgspec import Struct, field

# `resource:verb`, and a third part for one script or the like. `*` stands at the end only: for every ending.
SCOPE = re.compile(r"(?:[a-z][a-zA-Z0-9_-]*(?::[A-Za-z0-9_.-]+)*(?::?\*)?|\*)\Z")

READER = frozenset({"scripts:read", "tasks:read", "workflows:read", "schedules:read", "workers:read", "metrics:read"})
OPERATOR = READER | {"scripts:execute", "tasks:cancel", "workflows:*", "schedules:*", "workers:write", "workers:logs"}
ROLES = {"reader": READER, "operator": OPERATOR, "admin": frozenset({"*"})}


class Principal(Struct, frozen=True):
    """Who asks. `kind` is the proof: `key`, `jwt`, `basic`, or `local` for who has the deployment's own files.

    `name` is what a record of it says; `key_id` the public part of an API key; `expires_at`, in milliseconds, when the
    proof ends by itself; `session` the digest of the one by which it was proved, for whom a browser speaks.
    """

    name: str
    kind: str
    scopes: frozenset[str] = field(default_factory=frozenset)
    key_id: str | None = None
    expires_at: int | None = None
    session: str | None = None

    def may(self, scope: str) -> bool:
        return covers(self.scopes, scope)

    def may_any(self, scopes: Collection[str]) -> bool:
        """Whether one of them is held; nothing asked for is granted."""
        return not scopes or any(self.may(scope) for scope in scopes)


def shared(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    """The scopes of either that the other grants too."""
    return frozenset(scope for scope in first if covers_all(second, scope)) | frozenset(
        scope for scope in second if covers_all(first, scope)
    )


def covers_all(held: Iterable[str], scope: str) -> bool:
    """Whether all that a scope stands for is held; one with `*` needs one that is as wide."""
    if not scope.endswith("*"):
        return covers(held, scope)
    stem = scope[:-1]
    return any(stem.startswith(each[:-1]) if each.endswith("*") else stem.startswith(f"{each}:") for each in held)


def covers(held: Iterable[str], wanted: str) -> bool:
    """Whether a scope that is held grants the wanted one.

    It does when it is the same, when it names less parts of it (`scripts:read` grants `scripts:read:sign-file`),
    or when it ends with `*` and the wanted one begins with what stands before that.
    """
    return any(
        wanted.startswith(scope[:-1]) if scope.endswith("*") else wanted == scope or wanted.startswith(f"{scope}:")
        for scope in held
    )
