"""Leftovers: processes, folders and keys that are still there when every task has ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psutil
import redis

# What may stay when nothing runs: records, indexes of final tasks, history, and who is there. Everything else is left
# over: an empty list or sorted set is no key.
_STAYS = (
    *(
        "penstock:task:",
        "penstock:tasks:",
        "penstock:scripts:finished",
        "penstock:clock",
        "penstock:workers",
        "penstock:workers:admits",
        "penstock:workers:beats",
        "penstock:swept",
        "penstock:events",
        "penstock:log:",
    ),
    *(
        "penstock:idempotency",
        "penstock:audit",
        "penstock:starts:",
        "penstock:dead-letter",
        "penstock:consumers",
        "_kombu.binding",
    ),
)


def processes(marker: str, besides: Collection[int] = ()) -> list[str]:
    """Living processes that carry the marker in their environment or arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid in besides or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if any(marker in text for text in (*process.cmdline(), *process.environ().values())):
                found.append(f"process {process.pid} {' '.join(process.cmdline())[:120]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def folders(state: Path) -> Iterator[str]:
    """Work folders and spooled files below the places of workers, which may have empty places while they live."""
    for kind in ("work", "spool"):
        for place in sorted((state / kind).glob("*")):
            for path in sorted(place.iterdir()):
                yield f"{kind} {path.relative_to(state)}"


def places(state: Path) -> Iterator[str]:
    """All that is left of workers which have ended."""
    for kind in ("work", "spool", "workers"):
        for path in sorted((state / kind).glob("*")):
            yield f"place {path.relative_to(state)}"


def keys(server: redis.Redis) -> Iterator[str]:
    for key in sorted(server.scan_iter(count=1000)):
        if not key.decode("utf-8", "replace").startswith(_STAYS):
            kind: Any = server.type(key)
            yield f"key {key!r} ({kind.decode()}): {_content(server, key, kind)!s:.200}"
    for status in ("pending", "running"):
        count: Any = server.zcard(f"penstock:tasks:status:{status}")
        if count:
            yield f"{count} tasks listed as {status}"


def _content(server: redis.Redis, key: bytes, kind: bytes) -> Any:
    match kind:
        case b"list":
            return server.lrange(key, 0, 4)
        case b"zset":
            return server.zrange(key, 0, 4, withscores=True)
        case b"hash":
            return server.hgetall(key)
    return ""
