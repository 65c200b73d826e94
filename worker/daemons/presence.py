"""Presence of this process in the register of workers, made from the settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from worker.config import Settings
from worker.daemons.wiring import Deployment, Store, registered_scripts
from worker.model.worker import Pulse, Wishes, WorkerCard
from worker.operations.manifest import Manifest
from worker.operations.presence import Presence, this_process
from worker.operations.registered_scripts import RegisteredScripts
from worker.operations.taking import Taking
from worker.store.workers import Workers


def taking_of(settings: Settings) -> Taking:
    worker = settings.worker
    return Taking(settings.state_dir, min_free_disk=worker.min_free_disk, min_free_memory=worker.min_free_memory)


def presence_of(
    deployment: Deployment,
    store: Store,
    registered: RegisteredScripts,
    about: tuple[str, tuple[str, ...], int],
    *,
    pulse: Callable[[], Pulse],
    hear: Callable[[Wishes], None],
    lost: Callable[[], None],
) -> Presence:
    """`about`: the name of this process, which no other has, the queues that it takes from, and its concurrency."""
    settings = deployment.settings
    instance, queues, concurrency = about
    card = WorkerCard(
        name=settings.worker.name,
        instance=instance,
        process=this_process(),
        version=_version(),
        labels=settings.worker.labels,
        queues=queues,
        concurrency=concurrency,
        beat_ms=round(settings.worker.beat_s * 1000),
    )
    manifest = Manifest(deployment.catalog, registered, settings.home, settings.default_queue)
    return Presence(Workers(store.redis), card, manifest, pulse=pulse, hear=hear, lost=lost)


async def try_name(deployment: Deployment, store: Store, queues: tuple[str, ...], concurrency: int) -> None:
    """Take the name and give it back, where a refusal is easier to tell than later. Raises NameTaken."""
    about = f"{deployment.settings.worker.name}-{os.getpid()}-start", queues, concurrency
    registered = registered_scripts(deployment, store, working=True)
    presence = presence_of(deployment, store, registered, about, pulse=Pulse, hear=_deaf, lost=lambda: None)
    await presence.enter()
    await presence.leave()


def _deaf(_: Wishes) -> None:
    pass


@cache
def _version() -> str:
    try:
        return version("penstock")
    except PackageNotFoundError:
        return ""
