"""The floor: threads that run a command again and again with subprocess.run. Knows no queue and keeps nothing.

Started by throughput.py and containment.py as `bare.py <threads> <command>...`. For each line on stdin,
`{"tasks": N, "stdin": "..."}`, it runs the command N times and prints `{"seconds": ..., "cpu_seconds": ...,
"completed": ...}`; it ends at the end of its stdin.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence


def main(threads: int, command: Sequence[str]) -> None:
    for line in sys.stdin:
        load = json.loads(line)
        stdin: bytes = load["stdin"].encode()
        numbers = iter(range(load["tasks"]))
        ended: list[int] = []

        def work(numbers: object = numbers, stdin: bytes = stdin, ended: list[int] = ended) -> None:
            for _ in numbers:  # type: ignore[attr-defined]  # a range's iterator, shared: next() on it is atomic
                done = subprocess.run(command, input=stdin, stdout=subprocess.DEVNULL, check=False)
                ended.append(done.returncode)

        cpu_s, begun = time.process_time(), time.perf_counter()
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu_s}
        print(json.dumps({**took, "completed": ended.count(0)}), flush=True)


main(int(sys.argv[1]), sys.argv[2:])
