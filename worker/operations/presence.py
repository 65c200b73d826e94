"""Presence: a worker in the register. It takes its name, beats, hears what it is asked for, and says when it ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec.structs import replace

from engine.errors import PenstockError
from worker.model.worker import (
    Admitted,
    Pulse,
    Wishes,
    WorkerCard,
    WorkerProcess,
    manifest_digest,
)
from worker.operations.manifest import Manifest
from worker.store import StoreError, StoreUnavailable
from worker.store.workers import Holder, UnknownWorker, Workers

_logger = structlog.get_logger("penstock.worker")
# What is asked for between two beats is heard of this soon; one small read.
_LOOK_S = 1.0
# A worker that starts looks this often whether the one with its name still beats.
_WAIT_S = 0.2
# A beat that nobody answered is sent again this soon.
_AGAIN_S = 0.5


class NameTaken(PenstockError):
    """Another worker that lives has the name."""


class Presence:
    """For one event loop. `pulse` says what runs, `hear` is told what the worker was asked for; `lost` is called when
    another process has the name, after which nothing is said any more.
    """

    def __init__(
        self,
        workers: Workers,
        card: WorkerCard,
        manifest: Manifest,
        *,
        pulse: Callable[[], Pulse],
        hear: Callable[[Wishes], None],
        lost: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._card = card
        self._manifest = manifest
        self._pulse = pulse
        self._hear = hear
        self._lost = lost
        self._entered = False
        self._changed = asyncio.Event()

    async def enter(self) -> None:
        """Take the name. One whose owner was not heard of for two of its beats, or is gone for sure, is free; that is
        waited for. Raises NameTaken, StoreUnavailable.
        """
        gone, first = "", None
        while True:
            admits = await self._admits()
            answer = await self._workers.enter(self._card, admits, self._pulse(), gone=gone)
            if isinstance(answer, Wishes):
                self._entered = True
                self._hear(answer)
                return
            lives = None if answer.card is None else alive(answer.card.process)
            # Of a process elsewhere nothing is known but that it beats; when it does not, the name is free by itself.
            if lives or (first is not None and answer.last_seen_at != first):
                raise _taken(self._card.name, answer)
            if lives is False and answer.card:
                gone = answer.card.instance
                continue
            if first is None:
                _logger.info("a worker had this name; waiting to see whether it beats", worker=self._card.name)
                first = answer.last_seen_at
            await asyncio.sleep(_WAIT_S)

    async def keep(self) -> None:
        """Beat until cancelled. The store may be away meanwhile."""
        loop = asyncio.get_running_loop()
        next_s = loop.time() + self._card.beat_ms / 1000
        while self._entered:
            try:
                async with asyncio.timeout(min(_LOOK_S, max(0.0, next_s - loop.time()))):
                    await self._changed.wait()
            except TimeoutError:
                pass
            try:
                if self._changed.is_set() or loop.time() >= next_s:
                    self._changed.clear()
                    next_s = loop.time() + self._card.beat_ms / 1000
                    await self._beat()
                else:
                    self._hear(await self._workers.wishes(self._card.name))
            except StoreError as error:
                _logger.warning("cannot beat; trying again", error=str(error))
                next_s = min(next_s, loop.time() + _AGAIN_S)

    def tell(self) -> None:
        """Something has changed: beat now."""
        self._changed.set()

    async def leave(self) -> None:
        """Raises StoreUnavailable; then it is offline after two beats."""
        if self._entered:
            self._entered = False
            await self._workers.leave(self._card, self._pulse())

    async def _beat(self) -> None:
        before = self._card
        admits = await self._admits()
        changed = admits if self._card != before else None
        try:
            wishes = await self._workers.beat(self._card, self._pulse(), admits=changed)
        except UnknownWorker:
            answer = await self._workers.enter(self._card, admits, self._pulse())
            wishes = answer if isinstance(answer, Wishes) else None
        except StoreUnavailable:
            self._card = before  # what it admits is told with the next beat
            raise
        if wishes is None:
            self._entered = False
            self._lost()
        else:
            self._hear(wishes)

    async def _admits(self) -> tuple[Admitted, ...]:
        admits = await asyncio.to_thread(self._manifest.read)
        digest = manifest_digest(admits)
        if digest != self._card.manifest:
            self._card = replace(self._card, manifest=digest)
        return admits


def this_process() -> WorkerProcess:
    return WorkerProcess(socket.gethostname(), os.getpid(), _machine(), _started(os.getpid()) or 0)


def alive(process: WorkerProcess) -> bool | None:
    """Whether it runs on this machine; None for one of elsewhere, or when that cannot be told."""
    if not process.machine or process.machine != _machine() or not process.started:
        return None
    return _started(process.pid) == process.started


def _machine() -> str:
    """Since when it is up, and whose process numbers these are; empty where that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
    except (OSError, ValueError):
        return ""


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine is up; None when it has ended."""
    try:
        # The name of the program may hold blanks and brackets.
        fields = Path(f"/proc/{pid:d}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _taken(name: str, holder: Holder) -> NameTaken:
    who = holder.card.process if holder.card else None
    where = f" on {who.host}, process {who.pid}" if who else ""
    return NameTaken(
        f"another worker named {name} runs{where}: give this one a name of its own, worker.name or PENSTOCK_WORKER_NAME"
    )
