"""What a live reader sees of lines that cut into each other: whole lines in a pipe, nothing garbled on a terminal."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.log import Chunk, LogWriter
from worker.cli.line_view import LineView


def feed(view: LineView, *pieces: tuple[str, bytes]) -> bytes:
    return b"".join(view.feed(Chunk(source, 0, data)) for source, data in pieces) + view.end()  # type: ignore[arg-type]


CUT = (("stdout", b"one "), ("stderr", b"[worker:error] err"), ("stdout", b"line\n"), ("stderr", b"or\nmore"))


def test_a_pipe_reads_whole_lines_in_the_order_of_the_record() -> None:
    assert feed(LineView(at_once=False), *CUT) == b"one line\n[worker:error] error\nmore\n"


def test_a_terminal_shows_pieces_at_once_and_never_two_streams_in_one_line() -> None:
    shown = feed(LineView(at_once=True), *CUT)
    assert shown == b"one \n[worker:error] err\nline\n[worker:error] or\nmore\n"


@given(
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=9).map(lambda b: b.replace(b"a", b"\n"))),
        max_size=30,
    )
)
def test_a_pipe_reads_exactly_the_record(tmp_path_factory: object, blocks: list[tuple[str, bytes]]) -> None:
    folder: Path = tmp_path_factory.mktemp("log")  # type: ignore[attr-defined]
    view, shown = LineView(at_once=False), bytearray()
    log = LogWriter(folder / "log.txt", max_bytes=1 << 20, tap=lambda chunk: shown.extend(view.feed(chunk)))
    log.save()
    for source, data in blocks:
        log.feed(source, data)  # type: ignore[arg-type]
        log.show_open_lines()
        assert view.whole_bytes == len(shown) == log.path.stat().st_size
    log.close()
    assert bytes(shown) + view.end() == log.path.read_bytes()
