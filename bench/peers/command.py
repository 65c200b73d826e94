"""What every peer does for a task: run the script's command with the payload on its stdin, and say how it ended."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

STORE = os.environ["BENCH_STORE"]
RESULTS = os.environ["BENCH_RESULTS"]
CONCURRENCY = int(os.environ["BENCH_CONCURRENCY"])
_COMMANDS = json.loads(os.environ["BENCH_COMMANDS"])


def run(script: str, payload: dict[str, Any]) -> int:
    stdin = json.dumps(payload).encode()
    return subprocess.run(_COMMANDS[script], input=stdin, stdout=subprocess.DEVNULL, check=False).returncode
