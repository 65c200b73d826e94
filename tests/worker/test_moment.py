from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.moment import MomentType

NOW_MS = 1_700_000_000_000
EITHER = MomentType(after=True, at=True)


def ms(text: str) -> int:
    return EITHER.convert(text, None, None).ms(NOW_MS)


@pytest.mark.parametrize(
    ("text", "after_ms"),
    [("90s", 90_000), ("10m", 600_000), ("1h30m", 5_400_000), ("250ms", 250), ("5", 5000), ("0", 0)],
)
def test_a_duration_counts_from_now(text: str, after_ms: int) -> None:
    assert ms(text) == NOW_MS + after_ms


@pytest.mark.parametrize(
    "text", ["2026-12-24T17:00:00Z", "2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00.000+00:00", "20261224T170000Z"]
)
def test_a_date_and_time_is_what_it_says_wherever_it_is_read(text: str) -> None:
    assert ms(text) == 1_798_131_600_000


def test_a_date_without_an_offset_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert ms("2026-12-25T02:00") == 1_798_131_600_000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "nan", "inf", "1e99", "10m later", "2026-13-01T00:00", "24:00", "9999d"]
)
def test_what_is_neither_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected "):
        ms(text)


def test_a_delay_is_no_date_and_a_date_no_delay() -> None:
    with pytest.raises(click.BadParameter):
        MomentType(after=True).convert("2026-12-24T17:00:00Z", None, None)
    with pytest.raises(click.BadParameter):
        MomentType(at=True).convert("10m", None, None)


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    try:
        assert isinstance(ms(text), int)
    except click.BadParameter:
        pass
