"""What a command says of its progress, wherever the stream is cut and whatever else it says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.log.record import Chunk
from worker.cli.progress_bar import bar_text
from worker.model.progress import Progress, ProgressReader, parse_progress


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"::progress 40 Uploading::", Progress(40, "Uploading")),
        (b"::progress 0::", Progress(0, "")),
        (b"::progress 100 a :: b::\r", Progress(100, "a :: b")),
        (b"::progress 007 padded::", Progress(7, "padded")),
        (b"::progress 101 too far::", None),
        (b"::progress -1::", None),
        (b"::progress 4.5::", None),
        (b"::progress 40 no end", None),
        (b" ::progress 40::", None),
        (b"::progress 40:: and more", None),
        (b"[worker:error] ::progress 40::", None),
    ],
)
def test_a_line_says_so_or_does_not(line: bytes, expected: Progress | None) -> None:
    assert parse_progress(line) == expected


@pytest.mark.parametrize(
    "hostile", [b"\x1b]0;title\x07", b"\x9b2J", "\u202eabc\u2066".encode(), b"\xff\x00", b"x" * 999]
)
def test_no_text_steers_a_terminal(hostile: bytes) -> None:
    found = parse_progress(b"::progress 5 " + hostile + b"::")
    assert found is not None
    assert bar_text(found).isprintable() and len(found.text) <= 2001


@given(st.lists(st.integers(0, 60), max_size=6))
def test_it_does_not_matter_where_the_stream_is_cut(cuts: list[int]) -> None:
    data = b"begun\n::progress 10 One::\n::progress 999::\nlong\n::progress 20::\n::progr"
    reader, newest = ProgressReader(), None
    places = sorted({0, len(data), *cuts})
    for start, end in pairwise(places):
        newest = reader.feed(Chunk("stdout", 0, data[start:end])) or newest
    assert newest == Progress(20, "")


def test_only_stdout_is_heard_and_a_long_line_is_not_kept() -> None:
    reader = ProgressReader()
    assert reader.feed(Chunk("stderr", 0, b"::progress 10::\n")) is None
    assert reader.feed(Chunk("stdout", 0, b"::progress 10 " + b"x" * 100_000)) is None
    assert reader.feed(Chunk("stdout", 0, b"::\n")) is None
    assert reader.feed(Chunk("stdout", 0, b"::progress 11::\n")) == Progress(11, "")
