"""Worker: what a worker process says of itself, and the state that follows from it. Pure; the clock is an argument."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct, field

# As the settings check it; a record of a task may name others.
WORKER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\Z")
# What a target may be instead of a worker's name.
NO_NAMES = frozenset({"_any", "_all"})
# `key=value`; the value is hierarchical by dots: who is meant by `web` is meant by `web.dev`, too.
LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}=[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,7}\Z")
LABELS_MOST = 50
# Beats that may be missed before a worker is taken for gone.
MISSED_BEATS = 2


class WorkerState(StrEnum):
    """`busy`: it is online and something runs. `paused` workers come back by themselves or by `resume`."""

    ONLINE = "online"
    BUSY = "busy"
    DRAINING = "draining"
    PAUSED = "paused"
    OFFLINE = "offline"


class Admitted(Struct, frozen=True):
    """A script that a worker runs. `digest`: SHA-256 of the declaration and of what it runs."""

    script: str
    queue: str
    digest: str
    registered: bool = False


class WorkerProcess(Struct, frozen=True):
    """Which process it is. `machine` and `started` tell a process from all others, where they are known."""

    host: str
    pid: int
    machine: str = ""
    started: int = 0


class WorkerCard(Struct, frozen=True):
    """What a worker says of itself when it starts. `instance` is of this one process; `beat_ms`: how often it beats."""

    name: str
    instance: str
    process: WorkerProcess
    version: str
    labels: tuple[str, ...]
    queues: tuple[str, ...]
    concurrency: int
    beat_ms: int
    manifest: str = ""
    """The digest of what it admits."""


class Vitals(Struct, frozen=True):
    """Of the worker's host: load over a minute, processors, bytes of memory and of the disk of its state folder."""

    load: float = 0.0
    processors: int = 0
    memory_free: int = 0
    memory_total: int = 0
    disk_free: int = 0
    disk_total: int = 0


class Pulse(Struct, frozen=True):
    """What a beat says. `rest` is None while it takes tasks, else `draining` or `paused`, and `reason` says why.

    `tasks` are some of those that run, `running` is how many.
    """

    rest: WorkerState | None = None
    reason: str = ""
    running: int = 0
    tasks: tuple[str, ...] = ()
    vitals: Vitals = field(default_factory=Vitals)


class Wish(Struct, frozen=True):
    """What somebody has asked a worker for. `at`: milliseconds by the store's clock."""

    by: str
    at: int
    why: str = ""


class Wishes(Struct, frozen=True):
    """They stay until they are taken back, also while the worker is away."""

    drain: Wish | None = None
    pause: Wish | None = None


class Worker(Struct, frozen=True):
    """A worker as the register has it. Times are milliseconds by the store's clock.

    `admits` is None where it was not asked for.
    """

    card: WorkerCard
    started_at: int
    last_seen_at: int
    state: WorkerState
    pulse: Pulse
    wishes: Wishes = Wishes()
    admits: tuple[Admitted, ...] | None = None

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def live(self) -> bool:
        return self.state is not WorkerState.OFFLINE


def state_of(pulse: Pulse, *, there: bool, silent_ms: int, beat_ms: int) -> WorkerState:
    """`there`: it has not said that it ends. Heard of in the future is not heard of: the clock went back."""
    if not there or abs(silent_ms) > MISSED_BEATS * beat_ms:
        return WorkerState.OFFLINE
    if pulse.rest is not None:
        return pulse.rest
    return WorkerState.BUSY if pulse.running else WorkerState.ONLINE


def manifest_digest(admits: Iterable[Admitted]) -> str:
    """The same for the same scripts, in whatever order."""
    listed = sorted([each.script, each.queue, each.digest, each.registered] for each in admits)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


class Conflict(Struct, frozen=True):
    """Workers that take from one queue and disagree on a script. By worker the digest, None where it is missing."""

    queue: str
    script: str
    digests: tuple[tuple[str, str | None], ...]


def conflicts(workers: Iterable[Worker]) -> tuple[Conflict, ...]:
    """Among those that live; their `admits` have to be known. A registered script that one does not admit goes on to
    another worker, which is no conflict.
    """
    live = sorted((worker for worker in workers if worker.live), key=lambda worker: worker.name)
    found = []
    for queue in sorted({queue for worker in live for queue in worker.card.queues}):
        takers = [worker for worker in live if queue in worker.card.queues]
        if len({worker.card.manifest for worker in takers}) < 2:
            continue
        known = {worker.name: {each.script: each for each in worker.admits or ()} for worker in takers}
        scripts = {each.script for admits in known.values() for each in admits.values() if each.queue == queue}
        for script in sorted(scripts):
            of = {name: admits.get(script) for name, admits in known.items()}
            registered = all(each.registered for each in of.values() if each)
            digests = {each.digest if each else None for each in of.values()} - ({None} if registered else set())
            if len(digests) > 1:
                said = tuple((name, each.digest if each else None) for name, each in of.items())
                found.append(Conflict(queue, script, said))
    return tuple(found)
