"""Results: what the command of a step reported, for the record: JSON in artifacts/result.json, or a line of stdout."""

from __future__ import annotations

import io
import json
import os
from typing import Any, BinaryIO

from engine.log.index import Stretch, read_index
from engine.schema.payload import MAX_DEPTH, depth_of
from worker.model.task import Resolution
from worker.store.files import RunFiles

NAME = "result.json"
# It is kept with the record of the task. What is larger goes from step to step as an artifact.
MOST_BYTES = 64 * 1024
_TAIL_BYTES = 256 * 1024
_LINES = 1000
# One record of an index: enough of them for the tail of any log but a very patchy one.
_INDEX_BYTES = 1024 * 1024


def result_of(files: RunFiles, end: Resolution) -> str | None:
    """The JSON of `artifacts/result.json`, else of the last line of stdout that is JSON; None without one.

    None as well for one that is larger than MOST_BYTES, or nested deeper than a payload may be, or cannot be read any
    more: a step that asks for it then says so. Never raises OSError.
    """
    try:
        if any(artifact.name == NAME for artifact in end.artifacts):
            with files.open(NAME) as file:
                return _compact(file.read(MOST_BYTES + 1))
        for line in reversed(_stdout(files, end).splitlines()[-_LINES:]):
            if not line.strip():
                continue
            try:
                _parsed(line)
            except ValueError:
                continue
            return _compact(line)
    except OSError:
        pass
    return None


def _compact(data: bytes) -> str | None:
    if len(data) > MOST_BYTES:
        return None
    try:
        text = json.dumps(_parsed(data), ensure_ascii=False, separators=(",", ":"))
        text.encode()  # a lone surrogate cannot be kept
    except ValueError:
        return None
    return text


def _parsed(data: bytes) -> Any:
    if depth_of(data, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError("nested too deep")
    return json.loads(data.decode("utf-8"), parse_constant=_no_constant)


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def _stdout(files: RunFiles, end: Resolution) -> bytes:
    """The last of it."""
    if end.log:
        index = list(read_index(io.BytesIO(bytes.fromhex(end.log.index))))
        return _tail(io.BytesIO(end.log.text.encode()), index)
    try:
        with files.open_log_index() as found, files.open_log() as log:
            size = os.fstat(found.fileno()).st_size
            # Records have 16 bytes, which divide this; the end of the last stretch is the end of the log.
            found.seek(max(0, size - _INDEX_BYTES))
            return _tail(log, list(read_index(found)))
    except FileNotFoundError:
        return b""


def _tail(log: BinaryIO, stretches: list[Stretch]) -> bytes:
    at = log.seek(0, io.SEEK_END)
    parts: list[bytes] = []
    room = _TAIL_BYTES
    for stretch in reversed(stretches):
        at -= stretch.length
        if stretch.source != "stdout":
            continue
        length = min(room, stretch.length)
        log.seek(at + stretch.length - length)
        parts.append(log.read(length))
        room -= length
        if not room:
            break
    return b"".join(reversed(parts))
