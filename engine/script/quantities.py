"""Durations, sizes and rates as people write them."""

from __future__ import annotations

import re
from typing import Any

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[dhms])")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,10}))? ?([kKMGT]?)(i?)B?")
_RATE = re.compile(r"([1-9][0-9]{0,8})/(.+)")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

# A year: what is longer is a slip of the unit, and clocks and Redis keep their distance to overflow.
MAX_SECONDS = 366 * 86400.0
MAX_BYTES = 2**53


def parse_duration(value: Any) -> float:
    """Seconds from a number of seconds or from text such as `90s`, `10m`, `1h30m`, `250ms`, `1d`.

    Raises `ValueError` for anything else, for what is negative and for more than 366 days.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value <= MAX_SECONDS:
            raise ValueError(f"expected between 0 and {MAX_SECONDS:.0f} seconds")
        return float(value)
    if not isinstance(value, str):
        raise ValueError("expected a duration: a number of seconds, or text such as 90s, 10m, 1h30m, 250ms")
    text = value.strip()
    parts = _DURATION_PART.findall(text)
    units = [unit for _, unit in parts]
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("expected a duration such as 90s, 10m, 1h30m; the units are d, h, m, s and ms")
    if units != sorted(set(units), key=list(_SECONDS).index):
        raise ValueError("expected each unit of a duration once, the larger ones first, as in 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"expected between 0 and {MAX_SECONDS:.0f} seconds")
    return seconds


def parse_size(value: Any) -> int:
    """Bytes from a whole number or from text: `64k` and `10MB` count by 1000, `64Ki` and `10 MiB` by 1024.

    Raises `ValueError` for anything else, for a part of a byte and for more than 2^53.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        whole, fraction, letter, binary = match.groups(default="")
        if binary and not letter:
            raise ValueError("expected a size such as 4096, 64k, 10 MiB, 10MB")
        # Exact: a float of 53 bits would round what is near the limit.
        unit = (1024 if binary else 1000) ** _POWER[letter.upper()]
        size, rest = divmod(int(whole + fraction) * unit, 10 ** len(fraction))
        if rest:
            raise ValueError("expected a whole number of bytes")
    else:
        raise ValueError("expected a size: a whole number of bytes, or text such as 64k, 10 MiB, 10MB")
    if not 0 <= size <= MAX_BYTES:
        raise ValueError(f"expected between 0 and {MAX_BYTES} bytes")
    return size


def parse_rate(value: Any) -> tuple[int, float]:
    """A count and the seconds that it is for, from text such as `10/m`, `1/30s`, `500/1h30m`.

    Raises `ValueError` for anything else, and for a time below a millisecond.
    """
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a rate: a count from 1, a slash, and a time, such as 10/m, 1/30s, 500/h")
    count, time = found.groups()
    per_s = parse_duration(f"1{time}" if time in _SECONDS else time)
    if per_s < 0.001:
        raise ValueError("expected a rate for a time of at least 1ms")
    return int(count), per_s
