"""Times: milliseconds since the epoch as people and documents read them: ISO 8601 in UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime


def known_time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_text(ms: int | None) -> str | None:
    return None if ms is None else known_time(ms)


def ms_of(text: str) -> int:
    """The counterpart of `known_time`. Raises ValueError for what is no such time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
