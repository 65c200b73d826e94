"""Payload: what it costs to check one against a realistic schema, when it is valid and when it is not."""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.measuring import Row, Table, WrongCount, percentile
from bench.program import options, positive, progress, report
from engine.schema import Schema, dump_payload, parse_payload

ENTRIES = 20
# Places at which the wrong payload is wrong, each in one way.
WRONG = 12
_MAX_BYTES = 1024 * 1024
_US = 1_000_000
_ENTRY: dict[str, Any] = {
    "type": "object",
    "required": ["id", "name", "url", "sha256", "size", "created", "platform"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"},
        "url": {"type": "string", "format": "uri", "pattern": "^https://", "maxLength": 2048},
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "size": {"type": "integer", "minimum": 0, "maximum": 2**53},
        "created": {"type": "string", "format": "date-time"},
        "platform": {
            "type": "object",
            "required": ["os", "arch"],
            "additionalProperties": False,
            "properties": {
                "os": {"enum": ["linux", "macos", "windows"]},
                "arch": {"enum": ["x86_64", "aarch64"]},
                "version": {"type": "string", "pattern": r"^\d+(\.\d+){0,3}$"},
            },
        },
        "tags": {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 40}},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["release", "notify", "files"],
    "properties": {
        "release": {"type": "string", "pattern": r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$"},
        "notify": {"type": "string", "format": "email"},
        "files": {"type": "array", "minItems": 1, "maxItems": 200, "items": _ENTRY},
    },
}


def valid() -> dict[str, Any]:
    return {
        "release": "12.4.0-rc.1",
        "notify": "releases@example.org",
        "files": [
            {
                "id": f"0b5bbc80-1f3c-4d2e-9b58-{number:012d}",
                "name": f"tool-{number}.tar.gz",
                "url": f"https://downloads.example.org/releases/12.4.0/tool-{number}.tar.gz",
                "sha256": f"{number:02x}" * 32,
                "size": 10_000_000 + number,
                "created": "2026-11-02T10:20:30.123Z",
                "platform": {"os": "linux", "arch": "x86_64", "version": "12.6"},
                "tags": ["release", "signed"],
            }
            for number in range(ENTRIES)
        ],
    }


def invalid() -> dict[str, Any]:
    value = copy.deepcopy(valid())
    wrong: tuple[tuple[str, Any], ...] = (("size", "1"), ("name", "Tool"), ("created", "yesterday"), ("sha256", "0"))
    for number in range(WRONG):
        key, instead = wrong[number % len(wrong)]
        value["files"][number][key] = instead
    return value


def measure(calls: int, rounds: int) -> list[Table]:
    schema = Schema.compile(SCHEMA)
    good, bad = valid(), invalid()
    text = dump_payload(good)
    problems = schema.check(bad)
    places = {problem.pointer for problem in problems}
    if schema.check(good) or len(places) < WRONG:
        raise WrongCount(f"payload: {len(schema.check(good))} problems of a valid one, {len(places)} of {WRONG} places")
    steps: dict[str, tuple[Callable[[], Any], int]] = {
        "check, valid": (lambda: schema.check(good), calls),
        f"check, wrong at {WRONG} places": (lambda: schema.check(bad), max(1, calls // 10)),
        "parse strictly": (lambda: parse_payload(text, max_bytes=_MAX_BYTES), calls),
        "json.loads alone": (lambda: json.loads(text), calls),
        "split and dump for the command": (lambda: dump_payload(schema.split(good)[0]), calls),
        "compile the schema, once a start": (lambda: Schema.compile(SCHEMA), max(1, calls // 100)),
    }
    found: dict[str, list[float]] = {name: [] for name in steps}
    tails: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name, (step, times) in steps.items():
            progress(f"payload: round {number + 1} of {rounds}, {name}")
            took = [_timed(step) for _ in range(times)]
            found[name].append(statistics.median(took))
            tails[name].append(percentile(took, 99))
    progress("")
    rows: list[Row] = [
        {
            "step": name,
            "p50 µs": statistics.median(found[name]),
            "p99 µs": statistics.median(tails[name]),
            "lowest p50": min(found[name]),
            "highest p50": max(found[name]),
            "problems told": len(problems) if "wrong" in name else None,
        }
        for name in steps
    ]
    title = f"Payload: {len(text):,} bytes with {ENTRIES} nested entries, medians of {rounds} rounds"
    return [
        Table(
            title,
            rows,
            raw={f"{name} µs": found[name] for name in steps},
            found={"payload check": statistics.median(found["check, valid"]), "problems": float(len(places))},
        )
    ]


def _timed(step: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    step()
    return (time.perf_counter() - begun) * _US


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--calls", type=positive, default=10_000, help="calls in each round")
    chosen = parser.parse_args()
    calls, rounds = (200, 1) if chosen.quick else (chosen.calls, chosen.rounds)
    return report([lambda: measure(calls, rounds)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
