"""Sources: the broker of a deployment, for who takes from it and for who publishes to it."""

from __future__ import annotations

import os
import socket

from worker.broker import CeleryPublisher, Publisher, RedisPublisher
from worker.broker.redis_source import RedisSource
from worker.config.commands import command_queues
from worker.daemons.wiring import Deployment, Store, broker_url, publishing_app
from worker.model.target import queue_of


def redis_broker(deployment: Deployment) -> bool:
    return not broker_url(deployment.settings).startswith("amqp")


def queues_of(deployment: Deployment) -> tuple[str, ...]:
    """What a worker of the deployment consumes: what its settings say, else the queues of its enabled scripts."""
    settings = deployment.settings
    ours = command_queues(settings.worker)
    if settings.worker.queues is not None:
        return (*settings.worker.queues, *sorted(ours))
    named = {p.script.queue or settings.default_queue for p in deployment.catalog if p.script.enabled}
    return tuple(sorted(named | ours | {settings.default_queue, *settings.plain}))


def redis_source(deployment: Deployment, store: Store, queues: tuple[str, ...]) -> RedisSource:
    assert store.broker is not None
    consumer = f"{deployment.settings.worker.name}:{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
    own = queue_of(deployment.settings.worker.name)
    return RedisSource(store.broker, consumer, queues, deployment.settings.plain, own)


def publisher(deployment: Deployment, store: Store) -> Publisher:
    """For the broker that is configured."""
    if store.broker is not None:
        return RedisPublisher(store.broker)
    return CeleryPublisher(publishing_app(deployment))
