from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.script.quantities import parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90.0),
        (0, 0.0),
        (0.25, 0.25),
        ("90s", 90.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        (" 1d2h3m4s5ms ", 93784.005),
    ],
)
def test_durations_are_read_as_people_write_them(text: Any, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "1m1h",
        "1s1s",
        "-1s",
        "1 h",
        "1w",
        "1e3s",
        "h",
        "1h30",
        "9999d",
        -1,
        1e12,
        float("nan"),
        True,
        None,
        [],
    ],
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("4096B", 4096),
        ("64k", 64_000),
        ("64Ki", 65_536),
        ("64KiB", 65_536),
        ("10 MiB", 10 * 1024**2),
        ("10MB", 10_000_000),
        ("1.5 GiB", 3 * 1024**3 // 2),
        ("1T", 10**12),
        (2**53, 2**53),
    ],
)
def test_sizes_count_by_1000_or_with_an_i_by_1024(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MB",
        "10 i",
        "10iB",
        "-1",
        "1.5",
        "0.0001k",
        "10 M B",
        "10X",
        1.5,
        -1,
        2**53 + 1,
        "9" * 20,
        "9" * 5000,
        True,
        None,
    ],
)
def test_what_is_no_size_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_size(text)


@given(st.text(max_size=12) | st.text(alphabet="0123456789.dhmskKMGTiB ", max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert str(error).startswith("expected")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/m", (10, 60.0)),
        ("1/s", (1, 1.0)),
        (" 500/1h30m ", (500, 5400.0)),
        ("1/250ms", (1, 0.25)),
        ("2/ms", (2, 0.001)),
    ],
)
def test_rates_are_a_count_for_a_time(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "10", "/m", "10/", "0/s", "-1/s", "1.5/s", "10/w", "10/0s", "1/s/s", "10 / m", "1/0.1ms", 10, None, [1, 2]],
)
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_rate(text)


@given(st.text())
def test_any_text_is_a_rate_or_refused(text: str) -> None:
    try:
        count, per_s = parse_rate(text)
    except ValueError:
        return
    assert count >= 1
    assert per_s >= 0.001
