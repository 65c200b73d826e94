"""The programs of bench/ work: they measure every system, end by themselves and leave nothing. No figure is judged."""

from __future__ import annotations

import json
import os
import re
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
# What is named in the first column of each part's tables, by the first word of their titles.
MEASURED: dict[str, set[Any]] = {
    "Throughput": WORKERS | {"bare loop"},
    "Latency": WORKERS | {"bare subprocess"},
    "Memory": WORKERS,
    "Containment": {"penstock's engine", "bare loop"},
    "Log": {"penstock", "celery prefork", "cat > file"},
    "Flood": {"nothing else", "the same command outside, into /dev/null", "a run that floods its log"},
    "Live": {"penstock"},
    "API": {"bare FastAPI route", "read one task", "list 50 tasks", "submit, async", "idle", 3},
    "Payload": {"check, valid", "check, wrong at 12 places", "parse strictly"},
    "Store": {"ping", "register", "claim", "renew of 16", "resolve"},
    "Trips": {"penstock"},
    "Depth": {"penstock"},
    "History": {"list 50", "list 50 that failed", "prune 200"},
    "Page": {"the list of tasks", "those of one script that failed", "those with a text", "the overview"},
    "Startup": {"penstock --help", "penstock up, until it consumes", "penstock exec"},
    "Everywhere": {"any worker", "one worker, by its name", "all three workers"},
    "Targets": {"throughput, times dramatiq 2x4", "penstock exec beyond the bare command"},
}


# Every system is started once, each a program of its own.
pytestmark = pytest.mark.timeout(200)


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


def test_all_parts_measure_every_system_and_leave_nothing(short_folder: Path, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    with start(short_folder, "run", "--quick", "--json", str(figures)) as process:
        output, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    written: dict[str, Any] = json.loads(figures.read_text())
    assert written["errors"] == []
    tables: dict[str, set[Any]] = {}
    for table in written["tables"]:
        assert f"### {table['title']}" in output
        first = next(iter(table["rows"][0]))
        word = re.match(r"\w+", table["title"])
        assert word
        tables.setdefault(word[0], set()).update(row[first] for row in table["rows"])
    assert list(tables) == list(MEASURED)  # the targets last
    for title, rows in MEASURED.items():
        assert rows <= tables[title], title
    for row in written["tables"][-1]["rows"]:
        # Tiny sizes show nothing. What belongs to a peer or to the C loop is measured where these are at hand.
        assert row["holds"] == "not judged" or row["target"].startswith("throughput, times"), row
    assert list(short_folder.iterdir()) == []
    assert left_by(short_folder) == []


def test_the_parts_that_run_only_when_named_measure_and_leave_nothing(short_folder: Path) -> None:
    with start(short_folder, "run", "--quick", "sizing", "recovery") as process:
        output, errors = process.communicate(timeout=170)
    assert process.returncode == 0, errors
    assert "### Sizing" in output and "2 workers, concurrency 2, appendfsync always" in output
    assert "### Recovery" in output and "| penstock |" in output and "| celery prefork |" in output
    assert list(short_folder.iterdir()) == []
    assert left_by(short_folder) == []


def test_a_commit_is_measured_beside_today_and_the_last_line_says_what_is_worse(short_folder: Path) -> None:
    head = git("rev-parse", "HEAD")
    if head is None:
        pytest.skip("not a clone: there is no commit to measure")
    tree = REPOSITORY / ".bench" / f"base-{head[:12]}"
    kept = tree.exists()
    try:
        with start(short_folder, "base", "HEAD", "--quick") as process:
            output, errors = process.communicate(timeout=170)
        assert process.returncode == 0, errors
        assert f"| base {head[:12]} |" in output and "| worker CPU ms/task |" in output
        assert re.search(r"(Nothing is worse than|Worse than) 0\.9 of the base.*\Z", output.strip().splitlines()[-1])
    finally:
        if not kept:
            git("worktree", "remove", "--force", str(tree))
    assert list(short_folder.iterdir()) == []
    assert left_by(short_folder) == []


def test_a_commit_that_is_none_is_an_error_and_no_figure(short_folder: Path) -> None:
    with start(short_folder, "base", "no-such-commit", "--quick") as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no-such-commit cannot be measured" in errors
    assert "| today |" not in output


def git(*arguments: str) -> str | None:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def test_a_command_that_fails_is_a_wrong_count_and_ends_with_1(short_folder: Path) -> None:
    with start(short_folder, "throughput", "--quick", "--command", "false") as process:
        output, errors = process.communicate(timeout=170)
    assert process.returncode == 1
    assert "tasks did not complete" in errors
    assert "| system |" not in output
    assert list(short_folder.iterdir()) == []


def test_a_program_that_is_told_to_stop_leaves_nothing(short_folder: Path) -> None:
    with start(short_folder, "flood", "--tasks", "100000") as process:
        assert process.stdout
        process.stdout.readline()  # the machine: from here on it measures
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert list(short_folder.iterdir()) == []
    assert left_by(short_folder) == []
