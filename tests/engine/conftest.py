"""Runs a command through the whole engine, as a worker would, and looks at what it left."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.artifacts import FolderStore
from engine.execute import Resources, execute
from engine.log import LogWriter
from engine.outcome import Outcome
from engine.plugin import Plugins
from engine.process.abort import Abort
from engine.process.slots import Slots
from engine.schema import Schema
from engine.script import PluginSettings, Script
from engine.workdir import Workdirs

CHILDREN = Path(__file__).parents[1] / "children"
OPEN_SCHEMA = {"type": "object", "additionalProperties": True}


class RecordingHost:
    name = "test-host"

    def __init__(self) -> None:
        self.drains: list[tuple[str, bool]] = []

    def drain(self, why: str, *, fatal: bool = False) -> None:
        self.drains.append((why, fatal))


@dataclass
class Result:
    outcome: Outcome
    log: bytes
    artifacts: Path
    host: RecordingHost

    @property
    def lines(self) -> list[bytes]:
        return self.log.splitlines()


def bearers(mark: str) -> list[int]:
    """The processes that carry the mark in their environment, zombies aside."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if f"MARK={mark}".encode() in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
            except OSError:
                continue
    return found


class Engine:
    """`engine(["bash", "-c", "..."])` or `engine("bash text")`; keywords are fields of the script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.work = folder / "work"
        self._count = 0

    def __call__(
        self,
        command: str | Sequence[str],
        payload: bytes = b"{}",
        *,
        schema: dict[str, Any] = OPEN_SCHEMA,
        plugins: PluginSettings = PluginSettings(disabled=frozenset({"logHeader"})),
        env: dict[str, Any] | None = None,
        when: Callable[[Abort], None] | None = None,
        store: Any = None,
        times: int = 1,
        **fields: Any,
    ) -> Result:
        """`when` gets the abort of the run after the loop has started it. `times`: runs in the same slot."""
        argv = ("/bin/bash", "-c", command) if isinstance(command, str) else tuple(command)
        script = Script(
            name="test",
            command=argv,
            schema=Schema.compile(schema),
            env={"MARK": self.mark, "PATH": "/usr/bin:/bin", **(env or {})},
            **fields,
        )
        prepared = Plugins(plugins).prepare(script)
        host = RecordingHost()

        async def main() -> Result:
            result = None
            workdirs = Workdirs(self.work)
            async with Slots() as slots:
                for _ in range(times):
                    self._count += 1
                    log = LogWriter(self.folder / f"log-{self._count}.txt", max_bytes=script.limits.log_bytes)
                    artifacts = self.folder / f"artifacts-{self._count}"
                    abort = Abort()
                    if when:
                        when(abort)
                    outcome = await execute(
                        prepared,
                        payload,
                        task_id="task-1",
                        run_id=0,
                        log=log,
                        store=store or FolderStore(artifacts),
                        abort=abort,
                        resources=Resources(slots, workdirs, host),
                    )
                    assert bearers(self.mark) == [], "a process of the run is alive after it"
                    result = Result(outcome, log.path.read_bytes(), artifacts, host)
            workdirs.close()
            assert result is not None
            return result

        result = asyncio.run(main())
        assert not self.work.exists() or list(self.work.iterdir()) == [], "a work folder is left"
        return result


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    yield Engine(tmp_path)
