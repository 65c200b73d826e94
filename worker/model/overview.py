"""Overview: a deployment at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.model.status import Status
from worker.model.worker import WorkerState


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """`waiting`: messages that nobody has taken yet; None when the broker does not answer."""

    name: str
    waiting: int | None


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A worker that lives. `silent_s`: for how long nothing was heard of it; `running`: how many tasks."""

    name: str
    host: str
    pid: int
    silent_s: float
    state: WorkerState
    running: int


@dataclass(frozen=True, slots=True)
class Overview:
    """`broker`: whether it answers. `tasks`: how many have each status; `scripts`: how many are declared."""

    queues: tuple[SeenQueue, ...]
    workers: tuple[SeenWorker, ...]
    broker: bool
    tasks: Mapping[Status, int]
    scripts: int
