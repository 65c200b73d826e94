"""Slots: the instants at which a cron expression is due in a time zone. Pure; instants are seconds since the epoch.

On a change of the clock, as Vixie's cron and its descendants have it: a fixed time of day comes once. In the hour that
comes twice it is the first one; in the hour that is left out it is the first instant after it. What begins with `*` in
its minute or its hour follows real time: it goes on through the hour that comes twice and is not made up for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from worker.schedules.cron import Cron

_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1)
# The calendar of the standard library ends soon after this.
LAST_S = int(datetime(9900, 1, 1, tzinfo=UTC).timestamp())


def slots(cron: Cron, zone: ZoneInfo, after: int, until: int = LAST_S) -> Iterator[int]:
    """Every slot after `after` and not after `until`, ascending, each once."""
    until = min(until, LAST_S)
    if after >= until:
        return iter(())
    return _times_of_day(cron, zone, after, until) if cron.fixed else _real_time(cron, zone, after, until)


def newest_slots(cron: Cron, zone: ZoneInfo, after: int, until: int, most: int) -> tuple[int, ...]:
    """The last `most` slots after `after` and not after `until`, ascending.

    Looks back no further than it has to: the time between may be years, with a slot in each minute.
    """
    back = 3600
    while True:
        start = max(after, until - back)
        found = deque(slots(cron, zone, start, until), maxlen=most)
        if len(found) == most or start == after:
            return tuple(found)
        back *= 4


def _times_of_day(cron: Cron, zone: ZoneInfo, after: int, until: int) -> Iterator[int]:
    # Nothing at or before this wall clock can come later: instants follow the wall clock, and stand still in a gap.
    wall: datetime | None = _wall(after, zone)
    last = after
    while wall is not None and (wall := cron.after(wall)) is not None:
        at = _first_instant(wall, zone)
        if at > until:
            return
        if at > last:
            last = at
            yield at


def _real_time(cron: Cron, zone: ZoneInfo, after: int, until: int) -> Iterator[int]:
    """Through stretches of at most a day in which the clock does not change."""
    begin = after + 1
    while begin <= until:
        offset = _offset(begin, zone)
        end = _change(begin, begin + _DAY_S, zone) or begin + _DAY_S
        wall = cron.after(_local(begin - 1, offset))
        while wall is not None and (at := _seconds(wall) - offset) < end:
            if at > until:
                return
            yield at
            wall = cron.after(wall)
        begin = _skipped(cron, end, offset)


def _skipped(cron: Cron, begin: int, offset: int) -> int:
    """A later beginning, if no wall clock can show a match until then: a day is kept on either side for its changes."""
    wall = cron.after(_local(begin - _DAY_S, offset))
    if wall is None:
        return LAST_S + 1
    return max(begin, _seconds(wall) - offset - _DAY_S)


def _first_instant(wall: datetime, zone: ZoneInfo) -> int:
    """When a clock first shows that; for what none shows, the first instant after the gap."""
    at = round(wall.replace(tzinfo=zone).timestamp())
    if _wall(at, zone) == wall:
        return at
    # In a gap the two readings of it lie on either side of the change.
    change = _change(round(wall.replace(tzinfo=zone, fold=1).timestamp()), at, zone)
    return at if change is None else change


def _change(begin: int, end: int, zone: ZoneInfo) -> int | None:
    """The first second with another offset than at `begin`, if there is one up to `end`; of two changes, either."""
    offset = _offset(begin, zone)
    if _offset(end, zone) == offset:
        return None
    while end - begin > 1:
        middle = (begin + end) // 2
        if _offset(middle, zone) == offset:
            begin = middle
        else:
            end = middle
    return end


def _wall(at: int, zone: ZoneInfo) -> datetime:
    return _local(at, _offset(at, zone))


def _local(at: int, offset: int) -> datetime:
    return _EPOCH + timedelta(seconds=at + offset)


def _offset(at: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds())


def _seconds(wall: datetime) -> int:
    return round((wall - _EPOCH).total_seconds())
