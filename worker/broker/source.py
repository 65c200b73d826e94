"""Source: where a worker's deliveries come from; one shape for Redis and for everything that kombu speaks to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from worker.broker.delivery import Delivery


class Unreadable(Struct, frozen=True):
    """A message that no task can be made of. `reason` is one line for people."""

    queue: str
    raw: bytes
    reason: str
    acknowledge: Callable[[], None]


class BrokerAway(Exception):
    """The broker does not answer; calling again is right. The text holds no password."""


class Source(Protocol):
    """All in one event loop. What was taken and not acknowledged is delivered again, to whomever."""

    async def open(self) -> None:
        """Raises BrokerAway."""

    async def take(self, room: int) -> Sequence[Delivery | Unreadable]:
        """Up to `room` messages; waits for the first for a short time only. Raises BrokerAway."""

    def pause(self) -> None:
        """Nothing is wanted until the next `take`: one that goes on brings nothing; what was sent ahead goes back."""

    async def tend(self) -> None:
        """What has to go on beside: acknowledgements, signs of life. Runs until it is cancelled."""

    async def close(self) -> None:
        """Nothing more is taken; what was acknowledged is told, the rest given back. Raises BrokerAway."""
