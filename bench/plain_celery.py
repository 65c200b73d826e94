"""The Celery worker that Penstock is measured against: one Celery task per command, with subprocess.run.

For `celery -A bench.plain_celery worker`; BENCH_BROKER, BENCH_RESULTS and BENCH_COMMANDS come from systems.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

import celery

app = celery.Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_RESULTS"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_default_queue="penstock",
    broker_connection_retry_on_startup=True,
)


def _register(script: str, command: Sequence[str], captures: bool) -> None:
    def run(**payload: Any) -> dict[str, Any]:
        stdin = json.dumps(payload).encode()
        output = subprocess.PIPE if captures else subprocess.DEVNULL
        done = subprocess.run(command, input=stdin, stdout=output, check=False)
        return {"exit": done.returncode, "output": done.stdout.decode() if captures else None}

    app.task(run, name=f"penstock.{script}")


for _script, (_command, _captures) in json.loads(os.environ["BENCH_COMMANDS"]).items():
    _register(_script, _command, _captures)
