"""Embedding: the embedded store's life within the life of a plain Celery worker."""

from __future__ import annotations

from typing import Any

from celery import signals

from worker.config import Settings
from worker.daemons.wiring import store_folder
from worker.embedded import Embedded


def keep_embedded_store(settings: Settings) -> None:
    """Start the store when a Celery worker of this process starts, and stop it after it; no-op with a broker URL."""
    if not settings.embedded:
        return
    embedded = Embedded(store_folder(settings))

    def start(**_: Any) -> None:
        embedded.start()

    def stop(**_: Any) -> None:
        embedded.stop()

    signals.celeryd_init.connect(start, weak=False)
    signals.worker_shutdown.connect(stop, weak=False)
