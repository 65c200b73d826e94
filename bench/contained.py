"""The engine's way to run a command, without a queue and without a record: supervisor, work folder, pipes, memfd.

Started by containment.py as `contained.py <at a time> <command>...`; it speaks as bare.py does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.process.abort import Abort
from engine.process.run import Command, run_command
from engine.process.slots import Slots
from engine.process.stdin import open_stdin
from engine.workdir import Workdirs


async def run(slots: Slots, workdirs: Workdirs, command: Sequence[str], stdin: bytes) -> bool:
    workdir = workdirs.take()
    stdin_fd = open_stdin(stdin)
    slot = slots.acquire()
    try:
        finished = await run_command(
            slot,
            Command(command, {"TASK_ID": "bench", "RUN_ID": "0"}, workdir.fd, stdin_fd),
            on_output=lambda *_: None,
            abort=Abort(),
            grace_s=0.0,
        )
    finally:
        slots.release(slot)
        os.close(stdin_fd)
    wiped = await workdirs.give_back(workdir, untouched=finished.clean and workdir.untouched())
    return finished.exit.code == 0 and wiped.removed


async def main(at_once: int, command: Sequence[str]) -> None:
    workdirs = Workdirs(Path.cwd() / "work")
    async with Slots() as slots:
        while line := sys.stdin.readline():
            load = json.loads(line)
            numbers = iter(range(load["tasks"]))
            stdin = load["stdin"].encode()

            async def work(numbers: Iterator[int] = numbers, stdin: bytes = stdin) -> int:
                return sum([await run(slots, workdirs, command, stdin) for _ in numbers])

            cpu_s, begun = time.process_time(), time.perf_counter()
            completed = sum(await asyncio.gather(*(work() for _ in range(at_once))))
            took = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu_s}
            print(json.dumps({**took, "completed": completed}), flush=True)
    workdirs.close()


asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
