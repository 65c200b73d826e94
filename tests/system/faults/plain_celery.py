"""Plain Celery as it is advised for work that must not be lost: late acknowledgement, rejected when a child is lost.

The worker that the comparison plays the same faults to. FAULT_SCRIPTS is a folder of programs, one Celery task each.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import celery
from celery import signals

from tests.system.faults.history import append

# By default it is an hour, which a comparison cannot wait for.
VISIBILITY_S = 5
OUTCOME = "outcome"

app = celery.Celery("plain", broker=os.environ.get("FAULT_BROKER"), backend=os.environ.get("FAULT_RESULTS"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_default_queue="penstock",
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_channel_error_retry=True,
    # Looked for at every chance, not every hundred seconds as by default.
    broker_transport_options={
        "visibility_timeout": VISIBILITY_S,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
)


def _register(program: Path) -> None:
    def run(self: Any, **_: Any) -> int:
        env = {name: os.environ[f"FAULT_{name}"] for name in ("HISTORY", "SITE")}
        env |= {"TASK_ID": self.request.id, "RUN_ID": "0"}
        quiet = subprocess.DEVNULL
        return subprocess.run([str(program)], env=env, stdin=quiet, stdout=quiet, stderr=quiet, check=False).returncode

    app.task(run, name=f"penstock.{program.stem}", bind=True)


for _program in sorted(Path(os.environ.get("FAULT_SCRIPTS", os.devnull)).glob("*.sh")):
    _register(_program)


@signals.task_postrun.connect(weak=False)
def _recorded(task_id: str, **_: Any) -> None:
    append(Path(os.environ["FAULT_OUTCOMES"]), OUTCOME, task_id)
