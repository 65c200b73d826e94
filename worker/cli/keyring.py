"""Keyring: the API keys of a deployment, wherever it is. Knows no store and no HTTP."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from engine.hiding import Hiding
from worker.cli import exit_codes
from worker.cli.failure import Failure
from worker.model.api_key import ApiKey, NewKey


class SeenKey(Struct, frozen=True):
    """`state` by the clock of the deployment: `active`, `revoked` or `expired`."""

    key: ApiKey
    state: str


class MadeKey(Hiding, frozen=True):
    """A key that was just made, and its text, which nobody can ask for again."""

    HIDDEN = frozenset({"text"})

    key: ApiKey
    text: str


class Keyring(Protocol):
    """Every call may raise what those of a `Door` may."""

    async def create(self, new: NewKey) -> MadeKey:
        """Who made it is for the keyring to say. Raises Failure (64) for a role that is not known."""

    async def list(self) -> tuple[SeenKey, ...]:
        """All keys, newest first."""

    async def revoke(self, key_id: str) -> bool:
        """False for an unknown one; twice is the same as once."""

    async def rotate(self, key_id: str, *, overlap_s: float, ttl_s: float | None) -> MadeKey:
        """Raises Failure (66) for one that is unknown, revoked, expired or was rotated before."""


def not_active(key_id: str) -> Failure:
    return Failure(exit_codes.NO_INPUT, f"no active key {key_id[:100]!r} that was not rotated before")


def about(key: ApiKey) -> str:
    """In one line: whose it is, and what it may do."""
    return f"{key.name}: {' '.join([*([key.role] if key.role else []), *sorted(key.scopes)])}"
