"""Beats of a deployment by a fast clock: one second is ten minutes. One more for each line on stdin; its pid on stdout.

The argument is the deployment's folder. A line: the instant (milliseconds) that the clock showed at a reading of the
monotonic clock (seconds), that reading, and the instant to end at. Forked, so that none is killed at its imports;
`ready` says that those are done.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from worker.daemons.driving import workflow_definitions
from worker.daemons.logging import set_up_logging
from worker.daemons.ticking import submitting
from worker.daemons.wiring import Deployment, open_deployment, open_store
from worker.schedules.beat import Beat
from worker.schedules.declared import Known

SPEED = 600


async def main(deployment: Deployment, began_ms: int, began_s: float, end_ms: int) -> None:
    async with open_store(deployment.settings) as store:
        by = submitting(deployment, store, workflow_definitions(deployment, store))
        beat = Beat(lambda: Known(deployment.catalog), by)
        now = 0
        while now < end_ms:
            now = min(end_ms, began_ms + round((time.monotonic() - began_s) * 1000 * SPEED))
            await beat.tick(now)


if __name__ == "__main__":
    deployment = open_deployment(Path(sys.argv[1]))
    set_up_logging(deployment.settings.log)
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            began_ms, began_s, end_ms = line.split()
            asyncio.run(main(deployment, int(began_ms), float(began_s), int(end_ms)))
            os._exit(0)
        print(pid, flush=True)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
