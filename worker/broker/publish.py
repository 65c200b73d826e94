"""Publish: put the hint that a recorded run is pending into its queue."""

from __future__ import annotations

from worker.broker.app import TASK_PREFIX, App
from worker.broker.delivery import headers_for_hint


class Publisher:
    """Blocking; one connection, kept. Not for use by two threads at once."""

    def __init__(self, app: App) -> None:
        self._app = app

    def publish(self, script: str, task_id: str, queue: str) -> None:
        """Raises kombu's OperationalError when the broker cannot be reached. The record stays pending then, and a
        worker publishes it again."""
        self._app.send_task(
            TASK_PREFIX + script,
            task_id=task_id,
            queue=queue,
            headers=headers_for_hint(),
            retry=True,
            retry_policy={"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
        )

    def close(self) -> None:
        self._app.close()
