"""Replaying: the way back into the broker for messages that were kept as dead letters."""

from __future__ import annotations

from worker.broker.republish import CeleryRepublisher, RedisRepublisher, Republisher
from worker.daemons.sources import redis_broker
from worker.daemons.wiring import Deployment, Store, broker_url, publishing_app, store_url
from worker.store import connect


def republisher(deployment: Deployment, store: Store) -> Republisher:
    """For the broker that is configured."""
    if not redis_broker(deployment):
        return CeleryRepublisher(publishing_app(deployment))
    url = broker_url(deployment.settings)
    return RedisRepublisher(store.redis if url == store_url(deployment.settings) else connect(url))
