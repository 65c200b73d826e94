"""Cron: an expression of five fields, and the minutes of a wall clock that it names. Pure; knows no time zone.

By crontab(5): lists, ranges, steps, names of months and days, 0 and 7 for Sunday. When day of month and day of week
are both restricted a day needs to match one of them; when either begins with `*`, both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from msgspec import Struct

# What is longer is no schedule that anybody understands.
MAX_CHARACTERS = 200
PRESETS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# A leap day on a given day of the week comes back after 40 years at the latest (around 2100).
_YEARS = 41
_PART = re.compile(r"(?P<first>\*|[0-9]{1,4}|[a-z]{3})(?:-(?P<last>[0-9]{1,4}|[a-z]{3}))?(?:/(?P<step>[0-9]{1,4}))?\Z")


class _Field(Struct, frozen=True):
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


class CronError(ValueError):
    """No expression that can be met. `problems` says all that is wrong with it."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class Cron(Struct, frozen=True):
    """`minutes` and `hours` ascend. `both`: a day has to match by its date and by its weekday, and not by one of them.

    `fixed`: neither minute nor hour begins with `*`. Such a schedule means times of a day; any other, stretches of it.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both: bool
    fixed: bool

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Raises CronError."""
        if len(text) > MAX_CHARACTERS:
            raise CronError(f"it is longer than {MAX_CHARACTERS} characters")
        text = text.strip(" \t").lower()
        if text.startswith("@"):
            if text not in PRESETS:
                raise CronError(f"there is {', '.join(PRESETS)}, and no other word with an @")
            text = PRESETS[text]
        parts = text.split()
        if len(parts) != len(_FIELDS):
            names = ", ".join(field.name for field in _FIELDS)
            raise CronError(f"expected five fields ({names}), found {len(parts)}")
        problems: list[str] = []
        minutes, hours, days, months, weekdays = (
            frozenset(_values(field, part, problems)) for field, part in zip(_FIELDS, parts, strict=True)
        )
        both = parts[2].startswith("*") or parts[4].startswith("*")
        if not problems and both and min(days) > max(_LONGEST[month - 1] for month in months):
            problems.append("day of month: no such day is in any of these months")
        if problems:
            raise CronError(*problems)
        return cls(
            minutes=tuple(sorted(minutes)),
            hours=tuple(sorted(hours)),
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            both=both,
            fixed=not (parts[0].startswith("*") or parts[1].startswith("*")),
        )

    def has_day(self, day: date) -> bool:
        by_date, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_date and by_week if self.both else by_date or by_week)

    def after(self, moment: datetime) -> datetime | None:
        """The first minute after that one (both naive); None when there is none in this calendar's cycle."""
        day = moment.date()
        if self.has_day(day):
            if moment.hour in self.hours:
                at = bisect_right(self.minutes, moment.minute)
                if at < len(self.minutes):
                    return datetime.combine(day, time(moment.hour, self.minutes[at]))
            at = bisect_right(self.hours, moment.hour)
            if at < len(self.hours):
                return datetime.combine(day, time(self.hours[at], self.minutes[0]))
        for following in self._days_after(day):
            if self.has_day(following):
                return datetime.combine(following, time(self.hours[0], self.minutes[0]))
        return None

    def _days_after(self, day: date) -> Iterator[date]:
        """Every later day of the months that count."""
        last = min(day.year + _YEARS, date.max.year - 1)
        day += timedelta(days=1)
        while day.year <= last:
            length = monthrange(day.year, day.month)[1]
            if day.month in self.months:
                for number in range(day.day, length + 1):
                    yield day.replace(day=number)
            day = day.replace(day=length) + timedelta(days=1)


def _values(field: _Field, text: str, problems: list[str]) -> set[int]:
    """What a field names; what is wrong with it goes to `problems`."""
    found: set[int] = set()
    for part in text.split(","):
        try:
            found.update(_range(field, part))
        except ValueError as error:
            problems.append(f"{field.name}: {error}")
    return found


def _range(field: _Field, text: str) -> range:
    match = _PART.match(text)
    if not match or (match["first"] == "*" and match["last"]):
        raise ValueError(f"{text[:40]!a} is none of *, 5, 1-5, */10, 1-30/2")
    step = int(match["step"] or 1)
    # Of the days of the week 0 and 7 are the same.
    most = 6 if field.names == _DAYS else field.most
    if match["first"] == "*":
        least = field.least
    else:
        least = _number(field, match["first"])
        if match["last"]:
            most = _number(field, match["last"])
            if match["last"] == "sun" and least > 0:
                most = 7
        elif not match["step"]:
            most = least
        else:
            most = max(most, least)
    if most < least:
        raise ValueError(f"{text[:40]!a} ends before it begins")
    if not 1 <= step <= field.most:
        raise ValueError(f"a step is 1 to {field.most}, not {step}")
    return range(least, most + 1, step)


def _number(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + (1 if field.names == _MONTHS else 0)
    if not text.isdecimal():
        raise ValueError(f"there is no {text!a}")
    if not field.least <= int(text) <= field.most:
        raise ValueError(f"{text} is not {field.least} to {field.most}")
    return int(text)
