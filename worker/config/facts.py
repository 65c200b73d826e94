"""Facts of this worker, from its settings and its host."""

from __future__ import annotations

import socket

from worker.config.settings import WorkerSettings
from worker.model.fact import facts_of


def known_facts(settings: WorkerSettings) -> dict[str, str]:
    return facts_of(settings.name, socket.gethostname(), settings.labels, settings.facts)
