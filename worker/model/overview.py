"""Overview: a deployment at a glance."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from worker.model.status import Status
from worker.model.worker import WorkerState


class SeenQueue(Struct, frozen=True):
    """`waiting`: messages that nobody has taken yet; None when the broker does not answer."""

    name: str
    waiting: int | None


class SeenWorker(Struct, frozen=True):
    """A worker that lives. `silent_s`: for how long nothing was heard of it; `running`: how many tasks."""

    name: str
    host: str
    pid: int
    silent_s: float
    state: WorkerState
    running: int


class Span(Struct, frozen=True):
    """`buckets` stretches of time of `bucket_ms` each, from `since_ms` on, in milliseconds since the epoch."""

    since_ms: int
    bucket_ms: int
    buckets: int

    @classmethod
    def until(cls, now_ms: int, length_ms: int, buckets: int) -> Span:
        """At least as long as that, up to now at least. It begins at a multiple of its buckets: what lies in one does
        not change from one look to the next.
        """
        bucket_ms = -(-length_ms // buckets)
        end = (now_ms // bucket_ms + 1) * bucket_ms
        return cls(end - buckets * bucket_ms, bucket_ms, buckets)

    def starts(self) -> range:
        """When each bucket begins."""
        return range(self.since_ms, self.since_ms + self.buckets * self.bucket_ms, self.bucket_ms)


class Overview(Struct, frozen=True):
    """`broker`: whether it answers. `tasks`: how many have each status; `scripts`: how many are declared."""

    queues: tuple[SeenQueue, ...]
    workers: tuple[SeenWorker, ...]
    broker: bool
    tasks: Mapping[Status, int]
    scripts: int
