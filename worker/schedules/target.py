"""Target: the workflows that schedules may start. They are of the room beside this one, which does not see it."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from engine.errors import PenstockError
from engine.schema import Schema
from worker.model.access import Principal
from worker.model.status import Status


class NotSubmitted(PenstockError):
    """There is no task or run, and there would be none at a second try; the message says why, fit to be shown."""


class Target(Struct, frozen=True):
    """What the payload of a workflow has to be."""

    schema: Schema
    payload_bytes: int


class Targets(Protocol):
    """The workflows of a deployment."""

    async def get(self, name: str) -> Target | None:
        """None for an unknown one, whatever the name looks like."""

    async def check(self, name: str, principal: Principal) -> None:
        """Raises NotAllowed for who may not start it, or not run each of its scripts; an unknown one is not refused."""

    async def start(self, name: str, payload: bytes, principal: Principal, run_id: str, address: str | None) -> None:
        """Afterwards there is one run of that id; twice changes nothing.

        Raises NotAllowed, NotSubmitted, PayloadError, ScriptDisabled, Conflict.
        """

    async def status(self, run_id: str) -> Status | None:
        """None for a run that is unknown, or was pruned."""
