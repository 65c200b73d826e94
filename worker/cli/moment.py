"""Moment: a point in time as people give it, in so long or at a date, by the clock of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from msgspec import Struct

from engine.script.quantities import parse_duration


class Moment(Struct, frozen=True):
    """`at_ms` since the epoch, or `after_s` from now on: exactly one of the two is set."""

    at_ms: int | None = None
    after_s: float | None = None

    @property
    def text(self) -> str:
        """As the API reads it."""
        if self.after_s is not None:
            return f"{round(self.after_s * 1000)}ms"
        assert self.at_ms is not None
        return datetime.fromtimestamp(self.at_ms / 1000, UTC).isoformat(timespec="milliseconds")

    def before_ms(self, now_ms: int) -> int:
        """Of a time that lies behind us: a duration counts back."""
        return now_ms - round(self.after_s * 1000) if self.after_s is not None else self.ms(now_ms)

    def ms(self, now_ms: int) -> int:
        if self.at_ms is not None:
            return self.at_ms
        assert self.after_s is not None
        return now_ms + round(self.after_s * 1000)


class MomentType(click.ParamType[Moment]):
    """A duration where `after`, an ISO 8601 date and time where `at`; without an offset it is local time."""

    name = "moment"

    def __init__(self, *, after: bool = False, at: bool = False) -> None:
        self._after = after
        self._at = at

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        if isinstance(value, Moment):
            return value
        expected = []
        if self._after:
            try:
                return Moment(after_s=parse_duration(_number(value)))
            except ValueError as error:
                expected.append(str(error).removeprefix("expected "))
        if self._at:
            try:
                # For a date without an offset, timestamp() takes local time.
                return Moment(at_ms=round(datetime.fromisoformat(value).timestamp() * 1000))
            except (ValueError, OverflowError, OSError):
                expected.append("a date and time such as 2026-12-24T18:00 or 2026-12-24T17:00:00Z")
        raise click.BadParameter(f"expected {', or '.join(expected)}, not {value[:60]!r}", ctx, param)


def _number(text: str) -> str | float:
    """A bare number means seconds, as in the files."""
    try:
        return float(text)
    except ValueError:
        return text
