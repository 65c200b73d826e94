"""Addresser: submits to one worker, to those with a label and to all, keeps a history, and may be killed at any time.

`python -m tests.system.faults.addresser <folder of the site> <history> <seed>`
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import uuid
from pathlib import Path

from tests.system.faults.history import ACCEPTED, TRIED, append
from worker.broker import BrokerAway
from worker.config import load_settings
from worker.daemons.sources import publisher
from worker.daemons.wiring import open_deployment, open_store
from worker.model.access import Principal
from worker.model.target import Target, parse_target
from worker.operations.address import Fleet, NobodyMeant
from worker.operations.submit import submit
from worker.store import StoreError
from worker.store.targets import Targets
from worker.store.workers import Workers

LABEL = "group=soak.workers"
SCRIPTS = ("for-workers", "for-workers-once")
_TARGETS = ("_all", "_all", "group:soak", "one", "two", "three")
_ME = Principal("addresser", "local", frozenset({"*"}))


async def main(folder: Path, history: Path, seed: int) -> None:
    chance = random.Random(seed)
    settings, deployment = load_settings(folder, environ={}), open_deployment(folder)
    repeat: tuple[str, str, Target | None] | None = None
    async with open_store(settings) as store:
        fleet = Fleet(Workers(store.redis), Targets(store.redis), settings.start_within_s)
        while True:
            time.sleep(chance.uniform(0.1, 0.6))  # the pace of the load
            task_id, script = str(uuid.UUID(int=chance.getrandbits(128))), chance.choice(SCRIPTS)
            target = parse_target([chance.choice(_TARGETS)])
            if repeat and chance.random() < 0.2:
                task_id, script, target = repeat
            append(history, TRIED, task_id)
            try:
                await submit(
                    deployment.catalog.get(script),
                    b"{}",
                    records=store.records,
                    publisher=publisher(deployment, store),
                    default_queue=settings.default_queue,
                    trigger="api",
                    principal=_ME,
                    task_id=task_id,
                    target=target,
                    fleet=fleet,
                )
            except (NobodyMeant, StoreError):
                repeat = (task_id, script, target)
                continue
            except BrokerAway:
                pass  # it is recorded
            append(history, ACCEPTED, task_id)
            repeat = (task_id, script, target)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
