"""Schedule: what is to be submitted when, and how far that has come. Pure; times are milliseconds since the epoch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from engine.hiding import Hiding
from worker.model.access import Principal

Overlap = Literal["skip", "queue", "allow"]
CatchUp = Literal["none", "once", "all"]
OVERLAPS: tuple[Overlap, ...] = ("skip", "queue", "allow")
CATCH_UPS: tuple[CatchUp, ...] = ("none", "once", "all")
# Of missed slots, so many are made up for at most, and unless it is said otherwise.
MOST_CAUGHT_UP = 1000
CAUGHT_UP = 10


class Schedule(Hiding, frozen=True):
    """`cron` is the expression as it was written, `timezone` an IANA name. Either `script` or `workflow` is set.

    `overlap`: what becomes of a slot while the task of an earlier one has not ended. `catch_up`: which of the slots
    are made up for that passed while no beat ran, `catch_up_limit` at most. A task starts up to `jitter_s` after its
    slot. Slots before `start_at` and after `end_at` are none. It acts as `owner`, with the scopes that they had.

    `target` is for whom its tasks are, as `Target` writes it; whom that means is seen at each slot.

    `sealed` is the payload as the store keeps one with secrets. It could not be opened here when `unreadable` says why;
    `payload` is None then.

    `file` is where the operator declared it, None for one that was made through the API or the command line.
    """

    HIDDEN = frozenset({"payload", "sealed"})

    name: str
    cron: str
    owner: Principal
    script: str | None = None
    workflow: str | None = None
    timezone: str = "UTC"
    payload: Mapping[str, Any] | None = None
    enabled: bool = True
    overlap: Overlap = "skip"
    catch_up: CatchUp = "none"
    catch_up_limit: int = CAUGHT_UP
    jitter_s: float = 0.0
    start_at: int | None = None
    end_at: int | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    target: str | None = None
    sealed: str | None = None
    unreadable: str = ""
    file: str | None = None
    created_at: int | None = None
    updated_at: int | None = None
    updated_by: str | None = None

    @property
    def timing(self) -> str:
        """A digest of what says when it is due: when it changes, what passed before is not made up for."""
        parts = (self.cron, self.timezone, self.start_at, self.end_at, self.enabled)
        return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()[:32]


class ScheduleState(Struct, frozen=True):
    """How far a schedule has come. `version` changes with each change, so that of two beats one decides.

    `handled`: every slot up to it has been decided on. `waiting`: slots that are to be submitted, ascending; there are
    some for the moment between a decision and what follows from it, and with `overlap: queue` one that waits for its
    predecessor. `last_slot` and `last_task` are of the newest slot that was to be run. `salt` keeps the ids of tasks
    from being guessed. `skipped` counts slots that overlapped, `missed` those that nobody made up for. `trouble`: why
    the newest slot was not submitted, at `trouble_at`; empty when it was.
    """

    version: int
    handled: int
    salt: str
    timing: str = ""
    waiting: tuple[int, ...] = ()
    last_slot: int | None = None
    last_task: str | None = None
    skipped: int = 0
    missed: int = 0
    trouble: str = ""
    trouble_at: int | None = None
