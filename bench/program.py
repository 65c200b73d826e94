"""Program: what the programs of bench/ have in common as commands: options, output, exit code."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.measuring import Table, WrongCount, machine, shown


def options(description: str | None, *, rounds: int = 3) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--rounds", type=positive, default=rounds, help="rounds, the systems one after the other in each"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, the figures say nothing")
    return parser


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def report(
    parts: Sequence[Callable[[], Sequence[Table]]],
    json_path: Path | None,
    last: Callable[[Sequence[Table]], Table | str] | None = None,
) -> int:
    """Measure each part, print its tables as soon as they are there, then what `last` makes of them all.

    The exit code: 1 when a count was wrong.
    """
    # All folders of the parts lie in this one: a signal may come when one was made and nobody knows it yet.
    with tempfile.TemporaryDirectory(prefix="pb", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
        try:
            return _report(parts, json_path, last)
        finally:
            tempfile.tempdir = None


def _report(
    parts: Sequence[Callable[[], Sequence[Table]]],
    json_path: Path | None,
    last: Callable[[Sequence[Table]], Table | str] | None,
) -> int:
    facts = machine()
    print("Machine: " + ", ".join(f"{name} {shown(value)}" for name, value in facts.items()), flush=True)
    tables: list[Table] = []
    wrong: list[str] = []
    for part in parts:
        try:
            measured = part()
        except WrongCount as error:
            wrong.append(str(error))
            print(f"bench: error: {error}", file=sys.stderr, flush=True)
            continue
        for table in measured:
            print(f"\n{table.markdown()}", flush=True)
        tables += measured
    if last:
        verdict = last(tables)
        if isinstance(verdict, Table):
            tables.append(verdict)
            verdict = verdict.markdown()
        print(f"\n{verdict}", flush=True)
    if json_path:
        shaped = [
            {"title": t.title, "rows": [dict(row) for row in t.rows], "rounds": dict(t.raw), "found": dict(t.found)}
            for t in tables
        ]
        json_path.write_text(json.dumps({"machine": facts, "tables": shaped, "errors": wrong}, indent=2) + "\n")
    return 1 if wrong else 0


def progress(text: str) -> None:
    """For who waits at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
