"""Programs of a worker's settings: what is said of their arguments, before any of them is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from worker.config.programs import read_programs

ANCHORED = ["^a$", "^(a|b)$", r"^[|$]\|$", r"^a\\$", "^(?:a|(b|c))$", "^[]|]$", "^-[a-z]$", "^$"]
FREE = ["a", "^a", "a$", "^a|b$", r"^a\$", "^a$|b", "^-n$|.*", "^(a)|(b)$", "", "^", "(?m)^a$", "^(?sm)a$"]


def problems_of(args: Any) -> list[tuple[str, str]]:
    return read_programs({"p": {"path": "/bin/p", "args": args}}, [])[1]


@pytest.mark.parametrize("pattern", ANCHORED)
def test_a_pattern_of_a_whole_argument_is_taken(pattern: str) -> None:
    assert problems_of([{"pattern": pattern}]) == []
    assert problems_of({"items": {"pattern": pattern}}) == []


@pytest.mark.parametrize("pattern", FREE)
def test_a_pattern_that_fits_somewhere_in_an_argument_is_refused(pattern: str) -> None:
    [(place, message)] = problems_of([{"const": "x"}, {"pattern": pattern}])
    assert place == "/programs/p/args/1/pattern" and "^(...)$" in message
    assert [place for place, _ in problems_of({"items": {"pattern": pattern}})] == ["/programs/p/args/items/pattern"]
    [(place, _)] = problems_of({"prefixItems": [{"pattern": pattern}]})
    assert place == "/programs/p/args/prefixItems/0/pattern"
