#!/usr/bin/env python3
"""Copy a live SQLite database with the online backup API, verify the copy, report.

stdin: the payload. Environment: BACKUP_ROOT, relative to the deployment folder; BACKUP_MAX_BYTES;
BACKUP_WAIT_S, how long a lock of somebody else is waited for.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sqlite3
import stat
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

FAILED, MALFORMED, INTERNAL = 1, 2, 3
HOME = Path(__file__).resolve().parent.parent
MAGIC = b"SQLite format 3\0"
# 16 MiB at the usual page size: a progress line and a chance to end between two steps.
STEP_PAGES = 4096
# What opening says of a path that is missing or not ours to serve; any other error is our own trouble.
NOT_SERVED = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "goes through something that is not a folder, or through a link",
    errno.ELOOP: "is a symbolic link",
    errno.ENXIO: "is not a regular file",
    errno.EACCES: "is not readable",
    errno.ENAMETOOLONG: "is too long",
}
# Characters that could rewrite a log line or mislead its reader: controls, line ends, bidi, surrogates.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What SQLite says of others who hold the database, and of a file that is damaged (primary result codes).
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Stop(Exception):
    """The end of this run, with the exit code that says whose fault it is."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def main() -> None:
    name, expect = read_payload()
    root = (HOME / os.environ.get("BACKUP_ROOT", "data")).resolve()
    file = open_below(root, name)
    if os.pread(file, len(MAGIC), 0) != MAGIC:
        raise Stop(MALFORMED, f"{name!a} is refused: it is not a SQLite database")
    # `file` stays open to the end: closing any descriptor of a database drops the locks SQLite holds on it.
    draft = Path("backup.partial")
    started_at = now()
    try:
        with closing(connect(root / name, "rw")) as source:
            source_counts = copy(source, file, name, draft)
        if source_counts is None:
            return
        report = verify(draft, source_counts, expect)
    except sqlite3.Error as error:
        raise blame(error, name) from error
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    publish(draft, f"{stem}.sqlite", {"database": name, "startedAt": started_at, **report})


def read_payload() -> tuple[str, dict[str, int]]:
    try:
        payload = json.load(sys.stdin.buffer)
    except (ValueError, RecursionError) as error:
        raise Stop(MALFORMED, f"the payload is not JSON: {error}") from None
    if not isinstance(payload, dict) or not isinstance(payload.get("database"), str):
        raise Stop(MALFORMED, "the payload has to be an object with a string at /database")
    expect = payload.get("expect", {})
    if not isinstance(expect, dict) or not all(isinstance(rows, int | float) for rows in expect.values()):
        raise Stop(MALFORMED, "/expect has to be an object of table names and least numbers of rows")
    return payload["database"], expect


def open_below(root: Path, name: str) -> int:
    """A descriptor of the regular file `name` below `root`; no link is followed at any component."""
    parts = name.split("/")
    if any(part == "" or part.startswith(".") for part in parts):
        raise Stop(MALFORMED, f"{name!a} is refused: not relative, or a part starts with a dot")
    if UNSAFE.search(name) or len(parts[-1].encode()) > 240:
        raise Stop(MALFORMED, f"{name!a} is refused: control characters, or a file name over 240 bytes")
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Stop(INTERNAL, f"the allowed folder {root} cannot be opened: {error.strerror}") from None
    try:
        for part in parts[:-1]:
            outer = folder
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=outer)
            os.close(outer)
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno not in NOT_SERVED:
            raise
        raise Stop(MALFORMED, f"{name!a} is refused: it {NOT_SERVED[error.errno]}") from None
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise Stop(MALFORMED, f"{name!a} is refused: it is not a regular file")
    return file


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection without implicit transactions.

    Mode "rw" creates no file; it lets SQLite roll back what a crashed writer left, as any reader would, and
    SQLite falls back to reading only where the file is write-protected.
    """
    wait_s = float(os.environ.get("BACKUP_WAIT_S", 30))
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=wait_s, isolation_level=None)
    # The file is somebody else's: what its own schema calls must have no side effects.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def copy(source: sqlite3.Connection, file: int, name: str, draft: Path) -> dict[str, int] | None:
    """Copy one snapshot and return the rows per table in it; None in a dry run.

    The open read transaction is what makes copy and counts the same moment, and keeps a busy writer from
    restarting the copy for ever. In WAL mode writers go on; with a rollback journal they wait for the copy.
    """
    source.execute("PRAGMA query_only = ON")
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not opened_by_sqlite(file):
        raise Stop(MALFORMED, f"{name!a} is refused: it was replaced while it was opened")
    size = source.execute("PRAGMA page_count").fetchone()[0] * source.execute("PRAGMA page_size").fetchone()[0]
    mode = source.execute("PRAGMA journal_mode").fetchone()[0]
    say(f"read {name!a}: {size} bytes, journal mode {mode}")
    max_bytes = int(os.environ.get("BACKUP_MAX_BYTES", 1024**3))
    if size > max_bytes:
        raise Stop(MALFORMED, f"{name!a} is refused: {size} bytes, at most {max_bytes} are copied")
    if os.environ.get("DRY_RUN") == "true":
        say("dry run: would copy and verify it; nothing is written")
        return None
    with closing(connect(draft, "rwc")) as target:
        source.backup(target, pages=STEP_PAGES, progress=progress_lines())
        # One file that opens anywhere: a copy in WAL mode would want two more files beside it.
        target.execute("PRAGMA journal_mode = DELETE")
    counts = rows_per_table(source)
    source.execute("ROLLBACK")
    return counts


def opened_by_sqlite(file: int) -> bool:
    """Whether SQLite has the checked file open. It opens by path, which may have been swapped."""
    checked = os.fstat(file)
    for entry in os.listdir("/proc/self/fd"):
        try:
            if int(entry) != file and os.path.samestat(os.fstat(int(entry)), checked):
                return True
        except OSError:  # the descriptor of this listing itself
            continue
    return False


def progress_lines() -> Callable[[int, int, int], None]:
    """A callback that says every tenth of the way, and the end."""
    said = -1

    def progress(_status: int, remaining: int, total: int) -> None:
        nonlocal said
        tenth = (total - remaining) * 10 // max(total, 1)
        if tenth > said:
            said = tenth
            say(f"copied {total - remaining} of {total} pages")

    return progress


def rows_per_table(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows of every table that is stored as one; a view or a virtual table has no root page."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name")
    return {
        name: connection.execute('SELECT count(*) FROM "{}"'.format(name.replace('"', '""'))).fetchone()[0]
        for (name,) in names.fetchall()
    }


def verify(draft: Path, source_counts: dict[str, int], expect: dict[str, int]) -> dict[str, Any]:
    """Open the copy as a restore would; what the report says of it, or the end of the run."""
    with closing(connect(draft, "ro")) as target:
        problems = [row[0] for row in target.execute("PRAGMA integrity_check(20)")]
        if problems != ["ok"]:
            raise Stop(FAILED, f"the copy is damaged: {'; '.join(ascii(problem) for problem in problems)}")
        counts = rows_per_table(target)
    if counts != source_counts:
        tables = sorted(table for table in {*counts, *source_counts} if counts.get(table) != source_counts.get(table))
        raise Stop(INTERNAL, f"the copy has other rows than the database in {', '.join(map(ascii, tables))}")
    say(f"verified: integrity ok, {len(counts)} tables, {sum(counts.values())} rows")
    missing = [
        f"{table!a} has {counts.get(table, 'no table')}, at least {rows} expected"
        for table, rows in expect.items()
        if counts.get(table, -1) < rows
    ]
    if missing:
        raise Stop(FAILED, f"the database is not as expected: {'; '.join(missing)}")
    return {"integrity": "ok", "tables": counts, "rows": sum(counts.values())}


def publish(draft: Path, backup: str, report: dict[str, Any]) -> None:
    """Give the copy its name, then the report: whoever sees the report can rely on the copy."""
    with draft.open("r+b") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    document = {
        **report,
        "backup": backup,
        "size": draft.stat().st_size,
        "sha256": sha256,
        "sqlite": sqlite3.sqlite_version,
        "taskId": os.environ.get("TASK_ID"),
        "runId": os.environ.get("RUN_ID"),
        "finishedAt": now(),
    }
    folder = Path("public.partial")
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.rename(f"artifacts/{backup}")
    folder.rename("artifacts/public")
    say(f"wrote {backup!a} ({document['size']} bytes, sha256 {sha256}) and public/report.json")


def blame(error: sqlite3.Error, name: str) -> Stop:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in BUSY:
        return Stop(INTERNAL, f"{name!a} is locked by somebody else; try again later")
    if code in DAMAGED:
        return Stop(FAILED, f"{name!a} is damaged: {error}")
    return Stop(INTERNAL, f"SQLite: {error}")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.code)
    except Exception:  # noqa: BLE001 - Python's own exit code for a traceback is 1, which would blame the task
        traceback.print_exc()
        sys.exit(INTERNAL)
