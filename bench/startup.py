"""Startup: how long the command line takes: help, check, a worker that is ready, and a script run without a store."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measuring import Row, Table, WrongCount
from bench.program import options, progress, report
from bench.systems import end, payloads
from bench.throughput import COMMAND

CHECKED = 100
HELP = "penstock --help"
CHECK = f"penstock check, {CHECKED} scripts"
UP = "penstock up, until it consumes"
EXEC = "penstock exec"
BARE = "the bare command"
PYTHON = "python -c pass"
_READY = b'"event": "ready"'
_STOP_S = 30.0
_SCHEMA = {
    "type": "object",
    "required": ["number", "text"],
    "properties": {
        "number": {"type": "integer", "minimum": 0},
        "text": {"type": "string", "pattern": "^[a-z]*$", "maxLength": 4096},
        "when": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "maxItems": 8, "items": {"type": "string"}},
    },
}


def measure(rounds: int, checked: int = CHECKED) -> list[Table]:
    found: dict[str, list[float]] = {name: [] for name in (PYTHON, HELP, CHECK, UP, BARE, EXEC)}
    penstock = [str(Path(sys.executable).with_name("penstock"))]
    if not Path(penstock[0]).exists():
        penstock = [sys.executable, "-m", "worker.cli.main"]
    with _deployment(checked) as many, _deployment(1) as one:
        steps: dict[str, Callable[[], float]] = {
            PYTHON: lambda: _ran([sys.executable, "-c", "pass"]),
            HELP: lambda: _ran([*penstock, "--help"]),
            CHECK: lambda: _ran([*penstock, "-C", str(many), "check"]),
            UP: lambda: _up([*penstock, "-C", str(one), "up"], one),
            BARE: lambda: _ran(COMMAND, json.dumps(payloads(1)[0])),
            EXEC: lambda: _ran(
                [*penstock, "-C", str(one), "exec", "script0", "--payload", "-"], json.dumps(payloads(1)[0])
            ),
        }
        for name in (HELP, CHECK, EXEC):  # to warm up the disk
            steps[name]()
        for number in range(rounds):
            progress(f"startup: round {number + 1} of {rounds}")
            for name, step in steps.items():
                found[name].append(step())
    progress("")
    middle = {name: statistics.median(times) for name, times in found.items()}
    beyond = statistics.median(ours - bare for ours, bare in zip(found[EXEC], found[BARE], strict=True))
    rows: list[Row] = [
        {
            "command": name,
            "ms": middle[name] * 1000,
            "lowest": min(found[name]) * 1000,
            "highest": max(found[name]) * 1000,
        }
        for name in found
    ]
    return [
        Table(
            f"Startup: milliseconds, medians of {rounds} rounds",
            rows,
            raw=found,
            found={"help": middle[HELP], "check": middle[CHECK], "up": middle[UP], "exec": beyond},
        )
    ]


def _ran(command: Sequence[str], stdin: str = "") -> float:
    begun = time.perf_counter()
    done = subprocess.run(command, input=stdin.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    took = time.perf_counter() - begun
    if done.returncode:
        raise WrongCount(f"startup: {command[0]} ended with {done.returncode}: {done.stderr[-500:].decode()}")
    return took


def _up(command: Sequence[str], home: Path) -> float:
    """From nothing: the store is started too, with an empty state folder."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            said = b""
            for line in process.stdout:
                said += line
                if _READY in line:
                    return time.perf_counter() - begun
            raise WrongCount(f"startup: up is not ready: {said[-1000:].decode()}")
        finally:
            process.terminate()  # warm: its store ends with it
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired as error:
                raise WrongCount(f"startup: up did not end within {_STOP_S:g} s of SIGTERM") from error
            finally:
                end(process)
                shutil.rmtree(home / "s", ignore_errors=True)


@contextmanager
def _deployment(scripts: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pb") as folder:
        config = Path(folder) / "config"
        (config / "scripts").mkdir(parents=True)
        (config / "penstock.yaml").write_text(json.dumps({"stateDir": "s"}))
        for number in range(scripts):
            lines = [
                f"title: Script {number}",
                f"command: {json.dumps(list(COMMAND))}",
                "maxRunTime: 10m",
                "limits: {logBytes: 8 MiB, artifactCount: 4}",
                f"schema: {json.dumps(_SCHEMA)}",
            ]
            (config / "scripts" / f"script{number}.yaml").write_text("\n".join(lines) + "\n")
        yield Path(folder)


def main() -> int:
    parser = options(__doc__, rounds=5)
    chosen = parser.parse_args()
    return report([lambda: measure(1, 5) if chosen.quick else measure(chosen.rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
