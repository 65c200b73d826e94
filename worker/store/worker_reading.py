"""Worker reading: what the register has of a worker, taken apart without trusting a byte: each worker writes its own.

What nobody can read is None: one worker that writes nonsense hides no other, and stops nobody who looks.
"""

from __future__ import annotations

import json
import math
from typing import Any

from msgspec.structs import replace

from worker.model.worker import (
    LABEL,
    WORKER_NAME,
    Admitted,
    Pulse,
    Vitals,
    Wish,
    Wishes,
    Worker,
    WorkerCard,
    WorkerProcess,
    WorkerState,
    state_of,
)

# The year 9999, the last that a time can be shown of, in milliseconds.
_LAST_MS = 253_402_300_799_999
# More than any count or size on a host, and a number that every reader of JSON knows exactly.
_MOST = 2**53


def read_worker(now: int, name: str, card: bytes | None, beat: bytes | None, wishes: Wishes) -> Worker | None:
    """`name` is the one that the register has it under: nobody speaks for another."""
    read = read_card(card)
    parts = (beat or b"").split(b" ", 5)
    if read is None or read.name != name or len(parts) < 6:
        return None
    try:
        at, every, began = (_number(int(part), _LAST_MS) for part in parts[1:4])
        value = _object(_loaded(parts[5]))
        pulse = Pulse(**{**value, "rest": value["rest"] and WorkerState(value["rest"]), **_told(value)})
    except (ValueError, TypeError, KeyError):
        return None
    state = state_of(pulse, there=parts[4] == b"+", silent_ms=now - at, beat_ms=every)
    return Worker(read, began, at, state, pulse, wishes)


def read_card(text: bytes | None) -> WorkerCard | None:
    try:
        value = _object(_loaded(text))
        process = WorkerProcess(**_object(value["process"]))
        card = WorkerCard(**{**value, "labels": _texts(value["labels"]), "queues": _texts(value["queues"])})
        for each in (card.name, card.instance, card.version, card.manifest, process.host, process.machine):
            _text(each)
        for number in (card.concurrency, card.beat_ms, process.pid, process.started):
            _number(number)
    except (ValueError, TypeError, KeyError):
        return None
    known = WORKER_NAME.match(card.name) and all(LABEL.match(label) for label in card.labels)
    return replace(card, process=process) if known else None


def read_admits(text: bytes | None) -> tuple[Admitted, ...]:
    try:
        return tuple(
            Admitted(_text(script), _text(queue), _text(digest), bool(own))
            for script, queue, digest, own in _loaded(text)
        )
    except (ValueError, TypeError):
        return ()


def read_wishes(drain: bytes | None, pause: bytes | None) -> Wishes:
    return Wishes(_wish(drain), _wish(pause))


def _wish(text: bytes | None) -> Wish | None:
    if text is None:
        return None
    at, _, said = text.partition(b" ")
    try:
        value = _object(_loaded(said))
        # What somebody typed need not be text in any encoding; it is asked for all the same.
        by, why = (str(value[key]).encode("utf-8", "replace").decode() for key in ("b", "w"))
        return Wish(by, _number(int(at), _LAST_MS), why)
    except (ValueError, TypeError, KeyError):
        return Wish("", 0)


def _told(value: dict[str, Any]) -> dict[str, Any]:
    vitals = Vitals(**_object(value["vitals"]))
    for number in (vitals.processors, vitals.memory_free, vitals.memory_total, vitals.disk_free, vitals.disk_total):
        _number(number)
    if not (isinstance(vitals.load, float | int) and math.isfinite(vitals.load)):
        raise ValueError("no load")
    _number(value["running"])
    _text(value["reason"])
    return {"tasks": _texts(value["tasks"]), "vitals": vitals}


def _loaded(text: bytes | None) -> Any:
    try:
        return json.loads(text or b"")
    except RecursionError:
        raise ValueError("nested too deep") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return tuple(_text(each) for each in value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    value.encode()  # a lone surrogate could not be handed on
    return value


def _number(value: Any, most: int = _MOST) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError("no such number")
    return value
