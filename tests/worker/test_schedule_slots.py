"""Slots: what croniter, cronsim and a look at every single minute say, in zones that change their clocks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.schedules.cron import MAX_CHARACTERS, PRESETS, Cron, CronError
from worker.schedules.slots import newest_slots, slots

# Whole hours, half an hour (Lord Howe), at midnight (Santiago, Beirut), none, a quarter of an hour, and a day that
# was left out (Apia at the end of 2011).
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut", "UTC"]
ZONES += ["Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"]
CHANGES = [
    ("Europe/Berlin", "2026-03-29T01:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00Z"),
    ("America/New_York", "2026-03-08T07:00Z"),
    ("America/New_York", "2026-11-01T06:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30Z"),
    ("America/Santiago", "2026-04-05T03:00Z"),
    ("America/Santiago", "2026-09-06T04:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00Z"),
]


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp())


def part(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    span = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    # croniter takes a step that is longer than its range for a mistake, and 5-5 for the whole range.
    step = st.tuples(st.just("*"), st.integers(2, (most - least) // 2)).map(lambda found: f"{found[0]}/{found[1]}")
    one = st.one_of(number.map(str), span, step)
    return st.one_of(
        st.just("*"), one, st.lists(st.one_of(number.map(str), span), min_size=2, max_size=3).map(",".join)
    )


def expressions(*, day: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[str]:
    days = st.one_of(
        st.tuples(st.just("*"), st.just("*"), st.just("*")),
        st.tuples(part(1, 28) if day is None else day, part(1, 12), st.just("*")),
        st.tuples(st.just("*"), part(1, 12), part(0, 6)),
        # Both restricted: either suffices. With a `*` in front the libraries disagree.
        st.tuples(st.integers(1, 28).map(str), st.just("*"), st.integers(0, 7).map(str)),
    )
    return st.tuples(part(0, 59), part(0, 23), days).map(lambda f: " ".join((f[0], f[1], *f[2])))


def by_minutes(cron: Cron, zone: ZoneInfo, after: int, until: int) -> list[int]:
    """The rules once more, by looking at each minute of real time."""
    found: list[int] = []
    shown_before: set[datetime] = set()
    minute = after - 86_400 * 2 - after % 60
    last = None
    while minute <= until:
        wall = datetime.fromtimestamp(minute, zone).replace(tzinfo=None)
        due = named(cron, wall) and not (cron.fixed and wall in shown_before)
        if cron.fixed and last is not None:
            gap = last + timedelta(minutes=1)
            while gap < wall:  # what no clock showed
                due = due or named(cron, gap)
                gap += timedelta(minutes=1)
        if due and minute > after:
            found.append(minute)
        shown_before.add(wall)
        last = wall if last is None else max(wall, last)
        minute += 60
    return found


def named(cron: Cron, wall: datetime) -> bool:
    return wall.minute in cron.minutes and wall.hour in cron.hours and cron.has_day(wall.date())


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@settings(max_examples=6, deadline=None)
@given(expression=expressions(), before_s=st.integers(0, 100_000))
@example(expression="30 2 * * *", before_s=90_000)
@example(expression="0,30 0 * * *", before_s=90_000)
@example(expression="*/15 3 * * *", before_s=90_000)
@example(expression="*/20 * * * *", before_s=7200)
def test_around_a_change_of_the_clock_every_minute_is_as_the_rules_say(
    zone: str, change: str, expression: str, before_s: int
) -> None:
    place, cron = ZoneInfo(zone), Cron.parse(expression)
    begin = at(change) - before_s
    until = at(change) + 90_000
    assert list(slots(cron, place, begin, until)) == by_minutes(cron, place, begin, until)


@settings(max_examples=40, deadline=None)
@given(
    expression=expressions(),
    zone=st.sampled_from([z for z in ZONES if z != "Australia/Lord_Howe"]),
    begin=st.integers(at("2012-01-01T00:00Z"), at("2035-01-01T00:00Z")),
)
@example(expression="30 2 * * *", zone="Europe/Berlin", begin=at("2026-03-28T12:00Z"))
@example(expression="30 2 * * *", zone="Europe/Berlin", begin=at("2026-10-24T12:00Z"))
@example(expression="10,40 0 * * *", zone="America/Santiago", begin=at("2026-09-05T12:00Z"))
@example(expression="0,30 1 * * *", zone="America/New_York", begin=at("2026-10-31T12:00Z"))
@example(expression="0 12 29 2 *", zone="Africa/Casablanca", begin=at("2021-01-01T00:00Z"))
def test_croniter_finds_the_same_without_what_it_doubles(expression: str, zone: str, begin: int) -> None:
    """A fixed time in an hour that comes twice is due twice for croniter: the second is taken away."""
    place, cron = ZoneInfo(zone), Cron.parse(expression)
    ours = list(islice(slots(cron, place, begin), 12))
    theirs = croniter(expression, datetime.fromtimestamp(begin, place), second_at_beginning=False)
    found: list[int] = []
    for _ in range(24):
        moment = theirs.get_next(datetime)
        if cron.fixed and (moment.fold or round(moment.timestamp()) in found):
            continue  # the second time that a clock shows it, and the second of two times in one gap
        found.append(round(moment.timestamp()))
    if not cron.fixed:  # when the clock changes the minutes above are the judge: there croniter has rules of its own
        ours, found = [t for t in ours if quiet(t, place)], [t for t in found if quiet(t, place)]
    assert ours == found[: len(ours)]


def quiet(moment: int, zone: ZoneInfo) -> bool:
    """No change of the clock within a day."""
    sides = (datetime.fromtimestamp(moment + side, zone).utcoffset() for side in (-86_400, 0, 86_400))
    return len(set(sides)) == 1


@settings(max_examples=40, deadline=None)
@given(
    expression=expressions(day=part(1, 31)),
    zone=st.sampled_from([z for z in ZONES if z not in ("Australia/Lord_Howe", "Pacific/Apia")]),
    begin=st.integers(at("2015-01-01T00:00Z"), at("2035-01-01T00:00Z")),
)
@example(expression="0 0 29 2 *", zone="Europe/Berlin", begin=at("2026-01-01T00:00Z"))
@example(expression="30 2 * * *", zone="Europe/Berlin", begin=at("2026-03-28T12:00Z"))
@example(expression="30 2 * * *", zone="Europe/Berlin", begin=at("2026-10-24T12:00Z"))
def test_cronsim_finds_the_same_times_of_day(expression: str, zone: str, begin: int) -> None:
    place = ZoneInfo(zone)
    try:
        cron = Cron.parse(expression)
    except CronError:
        with pytest.raises(Exception, match="day"):
            CronSim(expression, datetime(2026, 1, 1))
        return
    theirs = CronSim(expression, datetime.fromtimestamp(begin, place))
    found: list[int] = []
    for moment in islice(theirs, 40):
        instant = round(moment.timestamp())
        if not found or instant > found[-1]:  # two times of one gap are one instant
            found.append(instant)
    if not cron.fixed:
        # It starts its search within the hours at a change; see the minutes above.
        found = [t for t in found if quiet(t, place)]
    ours = [t for t in islice(slots(cron, place, begin), 40) if cron.fixed or quiet(t, place)]
    least = min(len(found), len(ours))
    # From within an hour that comes twice it does not know in which of the two it is.
    skip = 0 if quiet(begin, place) else 1
    assert found[skip:least] == [t for t in ours if t >= found[0]][skip:least] or not least


@settings(max_examples=40, deadline=None)
@given(
    expression=expressions(),
    zone=st.sampled_from(ZONES),
    begin=st.integers(at("2010-01-01T00:00Z"), at("2030-01-01T00:00Z")),
    steps=st.lists(st.integers(1, 200_000), min_size=1, max_size=6),
)
def test_a_stretch_of_time_has_the_same_slots_in_however_many_steps_it_is_asked_for(
    expression: str, zone: str, begin: int, steps: list[int]
) -> None:
    """What a beat does whose clock jumps: each stretch begins where the last one ended."""
    place, cron = ZoneInfo(zone), Cron.parse(expression)
    whole = list(slots(cron, place, begin, begin + sum(steps)))
    pieces: list[int] = []
    now = begin
    for step in steps:
        pieces += slots(cron, place, now, now + step)
        now += step
    assert pieces == whole
    assert whole == sorted(set(whole))
    for most in (1, 3, 100):
        assert list(newest_slots(cron, place, begin, now, most)) == whole[-most:]


def test_a_fixed_hour_comes_once_on_both_changes_and_a_step_follows_real_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")

    def day(expression: str, begin: str) -> list[str]:
        found = slots(Cron.parse(expression), berlin, at(begin) - 1, at(begin) + 86_400)
        return [datetime.fromtimestamp(t, UTC).strftime("%H:%M") for t in found]

    spring, autumn = "2026-03-29T00:00+01:00", "2026-10-25T00:00+02:00"
    assert day("30 2 * * *", spring) == ["01:00"]  # 03:00, the first minute there is
    assert day("0,30 2 * * *", spring) == ["01:00"]
    assert day("30 2 * * *", autumn) == ["00:30"]
    assert len(day("*/15 * * * *", spring)) == 97 and len(day("*/15 * * * *", autumn)) == 97
    assert day("*/30 2 * * *", spring) == []
    assert day("*/30 2 * * *", autumn) == ["00:00", "00:30", "01:00", "01:30"]


def test_leap_days_come_every_four_years_and_after_eight_around_2100() -> None:
    found = islice(slots(Cron.parse("0 12 29 2 *"), ZoneInfo("UTC"), at("2090-01-01T00:00Z")), 3)
    assert [datetime.fromtimestamp(t, UTC).year for t in found] == [2092, 2096, 2104]
    sundays = Cron.parse("0 0 29 feb */7")
    assert [datetime.fromtimestamp(t, UTC).year for t in islice(slots(sundays, ZoneInfo("UTC"), 0), 2)] == [1976, 2004]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        *PRESETS.items(),
        ("0 0 * jan-MAR mon-Fri", "0 0 * 1-3 1-5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * fri-sun", "0 0 * * 5-7"),
        ("0 0 * * sun-mon", "0 0 * * 0-1"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        (" 0\t0 1 1 * ", "0 0 1 1 *"),
    ],
)
def test_what_means_the_same_is_the_same(text: str, same: str) -> None:
    assert Cron.parse(text) == Cron.parse(same)


def test_a_date_and_a_weekday_are_joined_by_or_unless_one_begins_with_a_star() -> None:
    either, both = Cron.parse("0 0 13 * fri"), Cron.parse("0 0 */13 * fri")
    friday, thirteenth, friday_14 = datetime(2026, 11, 20), datetime(2026, 12, 13), datetime(2026, 8, 14)
    assert either.has_day(friday) and either.has_day(thirteenth)
    assert not both.has_day(friday) and not both.has_day(thirteenth) and both.has_day(friday_14)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 * * * * *", "five fields"),
        ("@reboot", "no other word"),
        ("60 24 0 13 8", "minute: 60"),
        ("60 24 0 13 8", "day of week: 8"),
        ("0 0 30 2 *", "no such day"),
        ("0 0 31 4,6,9,11 *", "no such day"),
        ("0 0 30 feb */2", "no such day"),
        ("*/0 * * * *", "a step is"),
        ("*/60 * * * *", "a step is"),
        ("5-1 * * * *", "ends before"),
        ("1,,2 * * * *", "is none of"),
        ("*-5 * * * *", "is none of"),
        ("* * L * *", "is none of"),
        ("* * * * mon#1", "is none of"),
        ("٣ * * * *", "is none of"),
        ("-1 * * * *", "is none of"),
        ("* * * foo *", "there is no"),
        ("$(touch x) * * *", "is none of"),
        ("0 0 * * *\x00", "is none of"),
        ("99999999999999999999 * * * *", "is none of"),
        ("0," * 5000 + "0 * * * *", "longer than"),
    ],
)
def test_what_can_never_be_met_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(CronError) as error:
        Cron.parse(text)
    assert words in str(error.value)
    assert str(error.value).isprintable()


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789*/-,@ LW#?monfebdaily\u0663\x00", max_size=30))
def test_any_text_is_an_expression_or_a_cron_error(text: str) -> None:
    try:
        cron = Cron.parse(text)
    except CronError as error:
        assert error.problems
    else:
        assert next(slots(cron, ZoneInfo("UTC"), 0), None) is not None


# Twice what the 20 next and the 20 last leap days on a Sunday take, which is some hundredths of a second.
MOST = 250_000


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called, of Python and of C: the same on every machine, however busy it is."""
    count = 0

    def count_one(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_one)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_the_worst_expressions_cost_little_work() -> None:
    everything = ",".join(["*"] * 32)
    bombs = ["* * * * *", "0-59 0-23 * * *", "0 0 29 2 */7", "*/59 * 29 2 */7", f"{everything} {everything} * * *"]

    def next_and_newest(text: str, zone: ZoneInfo) -> None:
        cron = Cron.parse(text)
        assert len(list(islice(slots(cron, zone, 0), 20))) == 20
        assert newest_slots(cron, zone, 0, at("2026-01-01T00:00Z"), 20)

    for text in bombs:
        assert len(text) <= MAX_CHARACTERS
        for zone in ("UTC", "Pacific/Apia", "Europe/Berlin"):
            assert calls_of(partial(next_and_newest, text, ZoneInfo(zone))) < MOST, text
    berlin = ZoneInfo("Europe/Berlin")
    assert next(slots(Cron.parse("* * * * *"), berlin, 10**15), None) is None
    last = Cron.parse("0 0 1 1 *")
    assert list(slots(last, berlin, at("9899-12-31T23:30Z"))) == []
    assert calls_of(lambda: list(slots(last, berlin, at("9899-12-31T23:30Z")))) < MOST
