"""Overview: a deployment at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.model.status import Status


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """`waiting`: messages that nobody has taken yet; None when the broker does not answer."""

    name: str
    waiting: int | None


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A process that takes tasks. `silent_s`: for how long nothing was heard of it."""

    name: str
    host: str
    pid: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class Overview:
    """`workers` is None when the broker does not know them. `broker`: whether it answers. `tasks`: how many have each
    status; `scripts`: how many are declared.
    """

    queues: tuple[SeenQueue, ...]
    workers: tuple[SeenWorker, ...] | None
    broker: bool
    tasks: Mapping[Status, int]
    scripts: int
