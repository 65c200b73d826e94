"""Producer: a plain Celery program that submits at random, keeps a history, and may be killed at any time.

`python -m tests.system.faults.producer <history> <broker URL> <store socket> <seed> <most waiting>`
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from pathlib import Path

import celery
import redis
from kombu.exceptions import OperationalError

from tests.system.faults.history import ACCEPTED, TRIED, append


def main(history: Path, broker: str, socket: str, seed: int, most_waiting: int) -> None:
    from tests.system.faults.soak import SCRIPTS

    chance = random.Random(seed)
    app = celery.Celery("producer", broker=broker, set_as_current=False)
    app.conf.update(task_ignore_result=True, broker_transport_options={"socket_timeout": 2})
    server = redis.Redis(unix_socket_path=socket, protocol=2, socket_timeout=2)
    repeat: tuple[str, str, dict[str, int]] | None = None
    while True:
        time.sleep(chance.uniform(0.005, 0.12))  # the pace of the load
        script = chance.choices(list(SCRIPTS), list(SCRIPTS.values()))[0]
        task_id, payload = str(uuid.UUID(int=chance.getrandbits(128))), {"n": chance.randrange(1000)}
        if repeat and chance.random() < 0.1:  # the same again, as a producer does that is not sure
            task_id, script, payload = repeat
        try:
            if int(server.llen("penstock")) + int(server.zcard("penstock:tasks:status:pending")) > most_waiting:
                continue
            append(history, TRIED, task_id)
            app.send_task(f"penstock.{script}", kwargs=payload, queue="penstock", task_id=task_id, retry=False)
        except (OperationalError, redis.RedisError, OSError):
            repeat = (task_id, script, payload)
            continue
        append(history, ACCEPTED, task_id)
        repeat = (task_id, script, payload)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
