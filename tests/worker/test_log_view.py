"""Views of a log: any range of any source is what a plain slice would be."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.log.index import Stretch
from worker.api import log_view
from worker.api.log_view import LogView
from worker.model.rate import RateLimit

PARTS = st.lists(st.tuples(st.sampled_from(["stdout", "stderr", "worker"]), st.binary(max_size=12)), max_size=12)


@given(PARTS, st.sampled_from(["stdout", "stderr"]), st.integers(0, 200), st.integers(0, 200))
def test_a_range_of_a_source_is_a_slice(parts: list[tuple[str, bytes]], source: str, start: int, end: int) -> None:
    data = b"".join(text for _, text in parts)
    wanted = b"".join(text for name, text in parts if name == source)
    stretches = [Stretch(name, 0, len(text)) for name, text in parts]  # type: ignore[arg-type]

    def view() -> LogView:
        return LogView.of_source(io.BytesIO(data), stretches, source)  # type: ignore[arg-type]

    assert view().size == len(wanted)
    end = min(end, len(wanted))
    assert b"".join(view().blocks(start, end)) == wanted[start:end]
    assert view().tail(start) == (wanted[-start:] if start else b"")


@given(st.lists(st.sampled_from([b"\n", b"a", b"bb\n", b"\r"]), max_size=30).map(b"".join), st.integers(0, 40))
def test_the_last_lines_are_those_of_tail(data: bytes, count: int) -> None:
    lines = data.split(b"\n")
    ended = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    for block in (1, 3, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log_view, "_BLOCK", block)
            view = LogView.whole(io.BytesIO(data))
            assert data[view.last_lines(count) :] == b"".join(ended[-count:] if count else [])


def test_a_file_that_is_shorter_than_its_index_ends_the_answer() -> None:
    view = LogView(io.BytesIO(b"abc"), [(0, 10)])
    assert b"".join(view.blocks(0, 10)) == b"abc"


def test_a_caller_gets_what_the_rate_gives_and_no_more() -> None:
    rate = RateLimit(2, 10.0)
    assert [rate.wait_s("a", 0.0) for _ in range(3)] == [0, 0, 5]
    assert rate.wait_s("b", 0.0) == 0
    assert rate.wait_s("a", 4.9) == 1
    assert rate.wait_s("a", 5.0) == 0
    assert [rate.wait_s("a", 100.0) for _ in range(3)] == [0, 0, 5]
    assert rate.wait_s("a", 50.0) > 0, "a clock that goes back gives nothing"


def test_the_memory_of_callers_is_bounded() -> None:
    rate = RateLimit(1, 1.0)
    for number in range(10_050):
        rate.wait_s(str(number), 0.0)
    assert len(rate._callers) == 10_000
