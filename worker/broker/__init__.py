"""Broker: messages in Celery's format, in Redis and behind kombu. Knows no record and no command.

Celery itself is imported only by `app`, `pool`, `celery_*` and `rabbit_*`, which a worker on Redis does not need.
"""

from worker.broker.delivery import Delivery, Enqueued
from worker.broker.publish import CeleryPublisher, Publisher, RedisPublisher
from worker.broker.source import BrokerAway, Source, Unreadable

__all__ = [
    "BrokerAway",
    "CeleryPublisher",
    "Delivery",
    "Enqueued",
    "Publisher",
    "RedisPublisher",
    "Source",
    "Unreadable",
]
