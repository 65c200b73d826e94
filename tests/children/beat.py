"""Beats of a deployment by a fast clock: one second is ten minutes. One more for each line on stdin; its pid on stdout.

Arguments: the deployment's folder, the instant (milliseconds) that the clock showed at a reading of the monotonic clock
(seconds), that reading, and the instant to end at. Forked, so that a beat that is killed was not killed at its imports.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from worker.daemons.logging import set_up_logging
from worker.daemons.ticking import submitting
from worker.daemons.wiring import Deployment, open_deployment, open_store
from worker.schedules.beat import Beat
from worker.schedules.declared import Known

SPEED = 600


async def main(deployment: Deployment, began_ms: int, began_s: float, end_ms: int) -> None:
    async with open_store(deployment.settings) as store:
        beat = Beat(lambda: Known(deployment.catalog), submitting(deployment, store))
        now = 0
        while now < end_ms:
            now = min(end_ms, began_ms + round((time.monotonic() - began_s) * 1000 * SPEED))
            await beat.tick(now)


if __name__ == "__main__":
    home, *rest = sys.argv[1:]
    deployment = open_deployment(Path(home))
    set_up_logging(deployment.settings.log)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(main(deployment, int(rest[0]), float(rest[1]), int(rest[2])))
            os._exit(0)
        print(pid, flush=True)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
