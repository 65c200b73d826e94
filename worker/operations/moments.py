"""Moments: points in time as producers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# What is to happen later than this is a mistake of somebody's.
_FARTHEST = timedelta(days=366)


def moment_ms(text: object, now: datetime) -> int | None:
    """Milliseconds since the epoch of an ISO 8601 time, UTC when it names no zone; None for None.

    Raises ValueError, fit to be shown, for anything else and for what is more than a year ahead.
    """
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > 64:
        raise ValueError("expected an ISO 8601 time")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected an ISO 8601 time, found {text!a}") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    if found - now > _FARTHEST:
        raise ValueError(f"{text} is more than {_FARTHEST.days} days ahead")
    return max(0, round(found.timestamp() * 1000))
