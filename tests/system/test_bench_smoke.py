"""The programs of bench/ work: each measures every system, ends by itself and leaves nothing. No figure is judged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
WORKERS = {"penstock", "celery prefork", "celery threads"}
MEASURED = {
    "throughput": WORKERS | {"bare loop"},
    "latency": WORKERS | {"bare subprocess"},
    "memory": WORKERS,
    "log": {"penstock", "celery prefork", "cat > file"},
    "recovery": {"penstock", "celery prefork"},
    "store": {"ping", "register", "claim", "renew of 16", "resolve"},
}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Where a program puts everything; not below tmp_path, whose name may be longer than a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="pt"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path, program: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"bench.{program}", *options],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_by(folder: Path) -> list[str]:
    """The processes that know the folder by their arguments or their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:
                continue  # it has ended, or is another user's
            if any(os.fsencode(folder) in text for text in words):
                found.append(words[0].replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@pytest.mark.parametrize("program", MEASURED)
def test_a_program_measures_every_system_and_leaves_nothing(program: str, short_folder: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    with start(short_folder, program, "--quick", "--json", str(figures)) as process:
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    column = "call" if program == "store" else "system"
    assert output.count("\n### ") >= 1 and f" {column} |" in output
    written: dict[str, Any] = json.loads(figures.read_text())
    assert written["errors"] == []
    for table in written["tables"]:
        assert {row[column] for row in table["rows"]} == MEASURED[program]
        assert all(f" {row[column]} |" in output for row in table["rows"])
    assert list(short_folder.iterdir()) == []
    assert left_by(short_folder) == []


def test_a_command_that_fails_is_a_wrong_count_and_ends_with_1(short_folder: Path) -> None:
    with start(short_folder, "throughput", "--quick", "--command", "false") as process:
        output, errors = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "tasks did not complete" in errors
    assert "| system |" not in output
    assert list(short_folder.iterdir()) == []


def test_a_program_that_is_told_to_stop_leaves_nothing(short_folder: Path) -> None:
    with start(short_folder, "latency", "--tasks", "100000") as process:
        assert process.stdout
        process.stdout.readline()  # the machine: from here on it measures
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert list(short_folder.iterdir()) == []
    assert left_by(short_folder) == []
