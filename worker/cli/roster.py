"""Roster: the workers of a deployment, wherever it is. Knows no store and no HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from worker.cli import exit_codes
from worker.cli.failure import Failure

if TYPE_CHECKING:
    from worker.model.worker import Worker
    from worker.operations.fleet import Fleet


class Roster(Protocol):
    """Every call may raise what those of a `Door` may."""

    async def all(self) -> Fleet:
        """Every worker that is known, by name."""

    async def get(self, name: str) -> Worker:
        """With what it admits. Raises Failure (66) for an unknown one."""

    async def ask(self, name: str, verb: str, why: str) -> Worker:
        """`verb` is one of operations.fleet.VERBS. Raises Failure (66) for an unknown one."""

    async def log(self, name: str, lines: int) -> list[str]:
        """The end of its own log. Raises Failure: 66 for an unknown one, 69 for one that does not answer or keeps no
        log file.
        """

    async def remove(self, name: str) -> None:
        """Raises Failure: 66 for an unknown one, 65 for one that lives."""


def no_worker(name: str) -> Failure:
    return Failure(exit_codes.NO_INPUT, f"no worker {name[:100]!r}")
