"""A worker that is frozen cannot end its command; the supervisor does when the time that was granted is over."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from engine.artifacts import Discard
from engine.execute import Resources, execute
from engine.log import LogWriter
from engine.outcome import Outcome
from engine.plugin import Plugins
from engine.process.abort import Abort
from engine.process.lifeline import Lifeline
from engine.process.slots import Slots
from engine.schema import Schema
from engine.script import Script
from engine.workdir import Workdirs
from tests.engine.conftest import Engine, RecordingHost, bearers

DEADLINE_S = 20


def play(engine: Engine, command: str, lifeline: Lifeline, meanwhile: object) -> Outcome:
    """Run the command; `meanwhile` is called in the loop when the command has written its first line."""
    script = Script("s", ("/bin/bash", "-c", command), Schema.compile({}), env={"MARK": engine.mark, "PATH": "/bin"})

    async def main() -> Outcome:
        begun = asyncio.Event()
        log = LogWriter(
            engine.folder / "log.txt",
            max_bytes=10_000,
            tap=lambda chunk: begun.set() if chunk.source == "stdout" else None,
        )
        async with Slots() as slots:
            running = asyncio.create_task(
                execute(
                    Plugins().prepare(script),
                    b"{}",
                    task_id="t",
                    run_id=0,
                    log=log,
                    store=Discard(),
                    abort=Abort(),
                    resources=Resources(slots, Workdirs(engine.work), RecordingHost()),
                    lifeline=lifeline,
                )
            )
            await begun.wait()
            await meanwhile()  # type: ignore[operator]
            return await asyncio.wait_for(running, DEADLINE_S)

    return asyncio.run(main())


@pytest.mark.parametrize(
    "how", ["sleep 60", "trap '' TERM; setsid sleep 61 & sleep 60", "exec >&- 2>&-; (setsid sleep 62 &); sleep 60"]
)
def test_a_command_whose_worker_is_frozen_is_ended_by_its_supervisor(engine: Engine, how: str) -> None:
    async def freeze() -> None:
        until = time.monotonic() + DEADLINE_S
        while bearers(engine.mark):  # the loop stands still meanwhile, as if the whole worker were stopped
            assert time.monotonic() < until, "the command lives on while its worker is frozen"

    outcome = play(engine, f"echo begun; {how}", Lifeline(0.5), freeze)
    assert outcome.exit is not None and outcome.exit.signal == signal.SIGKILL


def test_a_command_goes_on_as_long_as_its_worker_says_so(engine: Engine) -> None:
    lifeline = Lifeline(1.5)

    async def vouch() -> None:
        for _ in range(20):
            await asyncio.sleep(0.1)
            lifeline.extend(1.5)

    outcome = play(engine, "echo begun; sleep 2; echo done", lifeline, vouch)
    assert outcome.status == "completed"


def test_a_lifeline_without_a_run_only_remembers(tmp_path: Path) -> None:
    lifeline = Lifeline(3.0)
    lifeline.extend(70.0)
    assert 60.0 < lifeline.left_s <= 70.0
    assert Lifeline(0.0).left_s == 0.0
