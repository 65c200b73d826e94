"""The lines of a stream, without a server: the live view tells what the kept log tells, from wherever it is read."""

from __future__ import annotations

import asyncio
import re
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from pathlib import Path

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.log import LogWriter
from engine.log.index import read_index
from engine.log.record import Chunk
from worker.api.log_lines import PIECE_BYTES, LiveLines, kept_lines
from worker.api.place import LogPlace, Place, Step
from worker.api.sse import EventStream
from worker.store.live_log_entry import pack, unpack
from worker.store.tally import Tally

TEXT = st.sampled_from([b"a", b"\n", b"bc\n", b"\xc3", b"\xa9\r", b"[worker:error] ", b"d" * 300, b"e" * 700 + b"\n"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["stdout", "stderr"]), st.lists(TEXT, min_size=1, max_size=4).map(b"".join)),
        st.just(("show", b"")),
        st.just(("say", b"")),
    ),
    max_size=60,
)


def play(steps: list[tuple[str, bytes]], max_bytes: int, folder: Path) -> tuple[list[Chunk], bytes, list[bytes]]:
    """What live readers are shown, the log that is kept, and its events."""
    shown: list[Chunk] = []
    log = LogWriter(folder / "log.txt", max_bytes=max_bytes, tap=shown.append, clock_ms=lambda: 1000)
    for step, data in steps:
        if step == "show":
            log.show_open_lines()
        elif step == "say":
            log.say("words of the worker")
        else:
            log.feed("stdout" if step == "stdout" else "stderr", data)
    log.close()
    with (folder / "log.txt").open("rb") as text, (folder / "log.idx").open("rb") as index:
        events = [e for b in kept_lines(0, text, read_index(index), LogPlace(), complete=True) for e in b.events]
        text.seek(0)
        return shown, text.read(), events


def same(events: list[bytes]) -> list[bytes]:
    """Without the time, which the index knows less exactly."""
    return [re.sub(rb'"time":"[^"]*"', b"", event) for event in events]


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([2_000, 5_000, 1_000_000]), st.integers(1, 5))
def test_the_live_view_tells_the_kept_lines_from_its_beginning_and_from_any_entry(
    steps: list[tuple[str, bytes]], max_bytes: int, at_once: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shown, _, kept = play(steps, max_bytes, Path(folder))
    tally, offset, entries = Tally(), 0, []
    for start in range(0, len(shown), at_once):
        made = pack(shown[start : start + at_once], offset, tally)
        offset += sum(entry.size for entry in made)
        entries += made
    for first in range(len(entries)):
        lines = LiveLines(0)
        if first:
            lines.jump(entries[first].offset, entries[first].before)
        told = []
        for entry in entries[first:]:
            fields = {
                name.encode(): str(v).encode() if not isinstance(v, bytes) else v for name, v in entry.fields().items()
            }
            for _, chunk in unpack(fields):
                told += [event for batch in lines.add(chunk) for event in batch.events]
        # Who begins later misses the lines that began before, and no more than one of each source.
        missing = [event for event in same(kept) if event not in same(told)]
        assert same(told) == [event for event in same(kept) if event not in missing]
        before = entries[first].before if first else "0"
        assert len(missing) <= Tally.parse(before).lines + before.count(";")


@pytest.mark.parametrize("length", [PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
@pytest.mark.parametrize("letter", ["x", "é", "😀"])
def test_a_long_line_has_the_same_pieces_live_and_kept(tmp_path: Path, length: int, letter: str) -> None:
    line = ("x" + letter * length).encode()[:length] + b"\nnext\n"
    shown, text, kept = play([("stdout", line[:1000]), ("show", b""), ("stdout", line[1000:])], 10**6, tmp_path)
    lines = LiveLines(0)
    batches = [batch for chunk in shown for batch in lines.add(chunk)]
    assert [event for batch in batches for event in batch.events] == kept
    for number, place in enumerate([place for batch in batches for place in batch.places]):
        with (tmp_path / "log.txt").open("rb") as file, (tmp_path / "log.idx").open("rb") as index:
            rest = [e for b in kept_lines(0, file, read_index(index), place, complete=True) for e in b.events]
        assert rest == kept[number + 1 :]
    assert batches[-1].end == LogPlace(len(text), 2)


@pytest.mark.parametrize("text", ["", "0", "0.log", "0.log.1.2.3", "-1.done", "0.done\n", "０.done", "0.artifact.x"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        Place.parse(text)
    assert Place.parse("2.log.3.40") == Place(2, Step.LOG, LogPlace(40, 3))


def test_a_reader_that_takes_nothing_is_given_up() -> None:
    asyncio.run(_give_up())


async def _give_up() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b":" * 65_536
        finally:
            ended.set()

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await EventStream(endless(), nullcontext(), stuck_s=0.2)(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, log_config=None, lifespan="off", http="h11", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        _, writer = await asyncio.open_connection(*listening.getsockname())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            await ended.wait()
        writer.transport.abort()
        server.should_exit = True
        await serving
