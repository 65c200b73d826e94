"""The log of a run: order, prefixes, last lines, the cap, the index and live readers."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.log import ERROR_PREFIX, INFO_PREFIX, Chunk, LogWriter, printable, read_index
from engine.log.lines import LINE_BYTES
from engine.log.writer import TAIL_BYTES

MIB = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


def writer(tmp_path: Path, max_bytes: int = 10 * MIB, **kwargs: object) -> LogWriter:
    return LogWriter(tmp_path / "log.txt", max_bytes=max_bytes, **kwargs)  # type: ignore[arg-type]


def test_lines_of_both_streams_stand_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.feed("stdout", b"half a ")
    log.feed("stderr", b"an error\nand half ")
    log.feed("stdout", b"line\nnext\n")
    log.feed("stderr", b"an error more\n")
    log.close()
    assert log.path.read_bytes() == (
        b"[worker:error] an error\nhalf a line\nnext\n[worker:error] and half an error more\n"
    )


def test_the_last_lines_without_a_newline_are_kept_and_get_one(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.feed("stdout", b"no newline")
    log.feed("stderr", b"neither here")
    summary = log.close()
    assert log.path.read_bytes() == b"no newline\n[worker:error] neither here\n"
    assert summary.bytes == log.path.stat().st_size
    assert not summary.truncated


def test_nul_invalid_utf8_and_carriage_returns_survive(tmp_path: Path) -> None:
    log = writer(tmp_path)
    data = b"a\0b\r\n\xff\xfe\xc3\r\n\x1b[31mred\n"
    log.feed("stdout", data)
    log.close()
    assert log.path.read_bytes() == data


def test_a_line_of_a_megabyte_stays_one_line_beside_the_other_stream(tmp_path: Path) -> None:
    log = writer(tmp_path)
    for _ in range(16):
        log.feed("stdout", b"x" * 65536)
        log.feed("stderr", b"tick\n")
    log.feed("stdout", b"\n")
    log.close()
    lines = log.path.read_bytes().splitlines()
    assert lines[:-1] == [b"[worker:error] tick"] * 16
    assert lines[-1] == b"x" * MIB


def test_a_line_without_an_end_is_passed_on_in_pieces_and_cut_for_the_other_stream(tmp_path: Path) -> None:
    log = writer(tmp_path, 64 * MIB)
    log.feed("stdout", b"y" * (LINE_BYTES + 1))
    log.feed("stderr", b"now me\n")
    log.close()
    lines = log.path.read_bytes().split(b"\n")
    assert lines == [b"y" * (LINE_BYTES + 1), b"[worker:error] now me", b"", b""][: len(lines)]


def test_the_cap_says_where_it_cut_and_keeps_the_last_lines_of_stderr(tmp_path: Path) -> None:
    log = writer(tmp_path, 1 * MIB)
    for number in range(50_000):
        log.feed("stdout", b"%063d\n" % number)
        if number % 10 == 0:
            log.feed("stderr", b"error %d\n" % number)
    log.feed("stderr", b"the reason")
    summary = log.close()
    text = log.path.read_bytes()
    assert summary.truncated
    assert summary.bytes == len(text) <= 1 * MIB
    assert text.endswith(b"[worker:error] the reason\n")
    marks = [line for line in text.splitlines() if line.startswith(INFO_PREFIX)]
    assert b"log cut after " in marks[0] and b"the limit is 1048576" in marks[0]
    assert b"were not kept; the last lines of stderr:" in marks[1]
    cut = text.index(marks[0])
    assert int(marks[0].split(b"after ")[1].split()[0]) == cut
    tail = text[text.index(marks[1]) + len(marks[1]) + 1 :]
    assert 0 < len(tail) <= TAIL_BYTES
    assert all(line.startswith(ERROR_PREFIX) for line in tail.splitlines())


@pytest.mark.parametrize("max_bytes", [0, 1, 100, 600, 5000])
def test_the_cap_holds_however_small_it_is(tmp_path: Path, max_bytes: int) -> None:
    log = writer(tmp_path, max_bytes)
    for _ in range(100):
        log.feed("stdout", b"z" * 1000)
        log.feed("stderr", b"e" * 10 + b"\n")
    summary = log.close()
    assert summary.truncated
    output = [line for line in log.path.read_bytes().splitlines() if not line.startswith(INFO_PREFIX)]
    assert sum(len(line) + 1 for line in output) <= max_bytes


def test_the_index_knows_the_source_and_time_of_every_byte(tmp_path: Path) -> None:
    clock = Clock()
    log = writer(tmp_path, clock_ms=clock)
    log.say("begin")
    log.feed("stdout", b"one\ntwo\n")
    clock.now_ms += 10
    log.feed("stdout", b"three\n")
    clock.now_ms += 1000
    log.feed("stdout", b"four\n")
    log.feed("stderr", b"oops\n")
    log.close()
    with log.index_path.open("rb") as file:
        stretches = list(read_index(file))
    assert [(s.source, s.time_ms - 1_000_000) for s in stretches] == [
        ("worker", 0),
        ("stdout", 0),
        ("stdout", 1010),
        ("stderr", 1010),
    ]
    assert sum(s.length for s in stretches) == log.path.stat().st_size


def test_what_the_worker_says_has_its_prefix_on_every_line(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.say("one\ntwo")
    log.say("bad \udcff", error=True)
    log.close()
    assert log.path.read_bytes() == b"[worker:info] one\n[worker:info] two\n[worker:error] bad \\udcff\n"


def test_live_readers_see_an_unfinished_line_once(tmp_path: Path) -> None:
    seen: list[Chunk] = []
    log = writer(tmp_path, tap=seen.append)
    log.feed("stderr", b"wait")
    assert log.has_open_line and not seen
    log.show_open_lines()
    log.show_open_lines()
    log.feed("stderr", b"ing")
    log.show_open_lines()
    log.feed("stderr", b" done\nmore\n")
    log.close()
    assert [chunk.data for chunk in seen] == [b"[worker:error] wait", b"ing", b" done\n[worker:error] more\n"]
    assert b"".join(chunk.data for chunk in seen) == log.path.read_bytes()


def test_a_log_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log.txt").symlink_to(tmp_path / "elsewhere")
    log = writer(tmp_path)
    log.feed("stdout", b"a line\n")
    assert log.close().error == "File exists"
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_command_wrote_is_on_the_disk_at_once(tmp_path: Path) -> None:
    log = writer(tmp_path, keep_short=True)
    log.say("before")
    assert not log.path.exists()
    log.feed("stdout", b"a line\n")
    assert log.path.read_bytes() == INFO_PREFIX + b"before\na line\n"
    log.say("after")
    assert log.path.read_bytes().endswith(b"after\n")
    log.close()
    assert log.text is None
    assert log.index is not None
    assert not log.index_path.exists()


def test_a_short_log_of_the_worker_alone_becomes_no_file(tmp_path: Path) -> None:
    log = writer(tmp_path, keep_short=True)
    log.say("a line")
    summary = log.close()
    assert log.text == INFO_PREFIX + b"a line\n"
    assert summary.bytes == len(log.text)
    assert log.index is not None
    assert len(log.index) == 16
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("long", [False, True])
def test_a_log_that_has_to_be_saved_is_a_file(tmp_path: Path, long: bool) -> None:
    log = writer(tmp_path, keep_short=True)
    log.say("x" * (100_000 if long else 1))
    if not long:
        log.save()
    log.say("after")
    log.close()
    assert log.text is None
    assert log.path.read_bytes().endswith(b"x\n" + INFO_PREFIX + b"after\n")


def test_of_a_log_on_a_full_disk_as_much_is_kept_as_there_was_room_for(tmp_path: Path) -> None:
    log = writer(tmp_path, clock_ms=Clock())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_500, hard))
    try:
        for _ in range(20):
            log.feed("stdout", b"x" * 999 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))  # there is room again
    log.feed("stdout", b"after the gap\n")
    log.say("the end")
    summary = log.close()
    assert summary.error == "File too large"
    text = log.path.read_bytes()
    end = b"[worker:info] the end\n[worker:error] the log is not whole: File too large\n"
    assert text == (b"x" * 999 + b"\n") * 10 + b"x" * 500 + b"\n" + end
    assert summary.bytes == len(text)
    with log.index_path.open("rb") as file:
        assert [(s.source, s.length) for s in read_index(file)] == [("stdout", 10_500), ("worker", 1 + len(end))]


def test_a_full_disk_is_told_in_the_summary_and_raises_nothing(tmp_path: Path) -> None:
    log = writer(tmp_path)
    log.save()
    full = os.open("/dev/full", os.O_WRONLY)  # the device that is always full takes the place of the file
    os.dup2(full, log._fd)
    os.close(full)
    log.feed("stdout", b"a line\n")
    log.feed("stdout", b"another\n")
    assert log.close().error == "No space left on device"


@given(
    st.lists(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=40).map(lambda b: b.replace(b"x", b"\n")))
    )
)
def test_no_byte_of_either_stream_is_lost_or_made_up(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[str, bytes]]
) -> None:
    seen: list[Chunk] = []
    log = writer(tmp_path_factory.mktemp("log"), tap=seen.append)
    for source, data in blocks:
        log.feed(source, data)  # type: ignore[arg-type]
        log.show_open_lines()
    log.close()
    for source, prefix in (("stdout", b""), ("stderr", ERROR_PREFIX)):
        sent = b"".join(data for name, data in blocks if name == source)
        expected = b"".join(prefix + line + b"\n" for line in sent.removesuffix(b"\n").split(b"\n")) if sent else b""
        assert b"".join(chunk.data for chunk in seen if chunk.source == source) == expected
    with log.index_path.open("rb") as file:
        assert sum(s.length for s in read_index(file)) == log.path.stat().st_size


@given(st.text())
def test_printable_text_is_one_line_without_controls(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() or shown == ""
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
