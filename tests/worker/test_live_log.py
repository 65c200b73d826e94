"""The live view of a log: everything in order, bounded, resumable, and never in the way of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.log import Chunk
from engine.log.index import IndexBuffer
from worker.embedded import Embedded
from worker.model.answers import Claimed
from worker.model.live_log import LiveEnd, LiveGap, LiveLines, LiveLogPart
from worker.model.status import Status
from worker.model.task import NewTask, Resolution, ShortLog
from worker.store import InvalidName, LiveLog, Records, UnknownTask, connect
from worker.store.live_log_entry import pack, unpack
from worker.store.live_log_writer import BUFFER_BYTES, STREAM_BYTES, LiveLogWriter
from worker.store.tally import Tally

DEADLINE_S = 30
DONE = Resolution(Status.COMPLETED)
Scene = Callable[[Records, LiveLog], Awaitable[Any]]


@pytest.fixture
def watch(store: Embedded) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        async def with_store() -> None:
            client = connect(store.url)
            records = Records(client)
            await records.register(NewTask("t", "s", b"{}", "{}", "d", "q", "cli"))
            try:
                await asyncio.wait_for(scene(records, LiveLog(client)), DEADLINE_S)
            finally:
                await client.aclose()

        asyncio.run(with_store())

    return run


def line(text: str | bytes, source: Any = "stdout", time_ms: int = 1) -> Chunk:
    return Chunk(source, time_ms, text if isinstance(text, bytes) else text.encode())


async def claim(records: Records) -> Any:
    answer = await records.claim("t", "w", 60)
    assert isinstance(answer, Claimed)
    return answer.claim


async def collect(parts: AsyncIterator[LiveLogPart]) -> list[LiveLogPart]:
    return [part async for part in parts]


def text(parts: list[LiveLogPart]) -> bytes:
    return b"".join(part.chunk.data for part in parts if isinstance(part, LiveLines))


def lasting(live: LiveLog) -> LiveLogWriter:
    """The writer of a run that lasts."""
    writer = live.writer("t", 0)
    writer.go_live()
    return writer


async def first_part(live: LiveLog) -> None:
    """Wait until something is there to be read, as it is soon when a run goes on."""
    assert isinstance(await asyncio.wait_for(anext(live.follow("t", 0)), DEADLINE_S), LiveLines)


def test_a_short_run_that_nobody_follows_writes_no_live_log(watch: Callable[[Scene], None], store: Embedded) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = live.writer("t", 0)
        writer.append(line("x\n"))
        whole = await writer.close()
        assert whole is not None
        assert await writer.close() is None
        await records.resolve(held, DONE, live=whole)
        assert [type(part) for part in await collect(live.follow("t", 0))] == [LiveEnd]

    watch(scene)
    with redis.Redis.from_url(store.url, protocol=2) as client:
        assert client.keys("penstock:log:*") == []


@pytest.mark.parametrize("early", [True, False], ids=["who came before the run", "who comes after it"])
def test_the_log_that_went_with_the_record_is_read_from_there(
    watch: Callable[[Scene], None], store: Embedded, early: bool
) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        reading = asyncio.create_task(collect(live.follow("t", 0))) if early else None
        with redis.Redis.from_url(store.url, protocol=2) as client:
            async with asyncio.timeout(DEADLINE_S):
                while reading and not client.exists("penstock:log:t:0"):
                    await asyncio.sleep(0.001)
        held = await claim(records)
        written = [line("one\n", "worker", 5), line("[worker:error] zwöi\n", "stderr", 900)]
        writer, index = live.writer("t", 0), IndexBuffer()
        for chunk in written:
            writer.append(chunk)
            index.add(chunk)
        assert await writer.close(recorded=True) is None
        log = ShortLog(b"".join(chunk.data for chunk in written).decode(), index.take(last=True).hex())
        await records.resolve(held, replace(DONE, log=log))
        parts = await (reading or collect(live.follow("t", 0)))
        assert [part.chunk for part in parts if isinstance(part, LiveLines)] == written
        assert isinstance(parts[-1], LiveEnd)
        # Who was interrupted goes on without gap or double.
        assert [part.id for part in await collect(live.follow("t", 0, parts[0].id))] == [part.id for part in parts[1:]]
        assert len(await collect(live.follow("t", 0, parts[-1].id))) == 1
        assert text(await collect(live.follow("t", 0, "0-1.2"))) == text(parts)[2:], "in the middle of a line"

    watch(scene)


def test_the_end_of_a_run_repeats_nothing_that_was_written(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        writer.append(line("x\n"))
        await first_part(live)
        writer.append(line("y\n"))
        assert await writer.close() is None
        (stale,) = pack([line("x\n")], 0, Tally())
        await records.resolve(held, DONE, live=stale)
        assert text(await collect(live.follow("t", 0))) == b"x\ny\n"

    watch(scene)


def test_a_reader_who_came_before_the_run_sees_all_of_it_and_its_end(
    watch: Callable[[Scene], None], store: Embedded
) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        reading = asyncio.create_task(collect(live.follow("t", 0)))
        with redis.Redis.from_url(store.url, protocol=2) as client:
            async with asyncio.timeout(DEADLINE_S):
                while not client.exists("penstock:log:t:0"):
                    await asyncio.sleep(0.001)
        held = await claim(records)
        writer = live.writer("t", 0)
        written = [
            line("one\n"),
            line("[worker:error] two\n", "stderr", 2),
            line(b"\x00\xff\r\n", "stdout", 3),
            line("no new", "stdout", 4),
            line("line", "stdout", 400),
            line("bye\n", "worker", 401),
        ]
        for chunk in written:
            writer.append(chunk)
        await records.resolve(held, DONE, live=await writer.close())
        parts = await reading
        assert [part.chunk for part in parts if isinstance(part, LiveLines)] == written
        assert isinstance(parts[-1], LiveEnd) and parts[-1].status is Status.COMPLETED
        found = await records.get("t")
        assert found is not None and found.status is Status.COMPLETED

    watch(scene)


def test_a_line_reaches_a_reader_while_the_run_goes_on(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        parts = live.follow("t", 0)
        for number in range(3):
            writer.append(line(f"{number}\n"))
            part = await asyncio.wait_for(anext(parts), DEADLINE_S)
            assert isinstance(part, LiveLines) and part.chunk.data == b"%d\n" % number
        await writer.close()
        await records.resolve(held, DONE)
        assert isinstance(await anext(parts), LiveEnd)

    watch(scene)


def test_a_reader_resumes_after_any_part_and_misses_and_repeats_nothing(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        for number in range(40):
            writer.append(line(f"{number}\n" * 400, ("stdout", "stderr")[number % 2]))
            if number % 10 == 0:
                await first_part(live)
        await writer.close()
        await records.resolve(held, DONE)
        whole = await collect(live.follow("t", 0))
        assert len(whole) == 41
        for at, part in enumerate(whole):
            assert await collect(live.follow("t", 0, after=part.id)) == (whole[at + 1 :] or [whole[-1]])

    watch(scene)


def test_the_end_is_seen_without_any_output_and_no_key_is_left_for_who_never_read(
    watch: Callable[[Scene], None], store: Embedded
) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        await writer.close()
        await records.resolve(held, DONE)
        (end,) = await collect(live.follow("t", 0))
        assert isinstance(end, LiveEnd) and end.status is Status.COMPLETED

    watch(scene)
    with redis.Redis.from_url(store.url, protocol=2) as client:
        assert client.keys("penstock:log:*") == []


@pytest.mark.parametrize("way", ["cancel", "sweep", "resolve"])
def test_a_waiting_reader_hears_of_every_way_to_end(watch: Callable[[Scene], None], way: str) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        parts = live.follow("t", 0)
        reading = asyncio.ensure_future(anext(parts))
        await asyncio.sleep(0)
        if way == "cancel":
            await records.cancel("t", "anna")
        else:
            answer = await records.claim("t", "w", 0)
            assert isinstance(answer, Claimed)
            await (records.sweep() if way == "sweep" else records.resolve(answer.claim, DONE))
        part = await reading
        assert isinstance(part, LiveEnd)
        assert part.status is {"cancel": Status.CANCELLED, "sweep": Status.EXCEPTION, "resolve": Status.COMPLETED}[way]

    watch(scene)


def test_the_stream_goes_some_minutes_after_the_end(watch: Callable[[Scene], None], store: Embedded) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        writer.append(line("x\n"))
        await first_part(live)
        await writer.close()
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert 3600 < client.ttl("penstock:log:t:0") <= 24 * 3600
            await records.resolve(held, DONE)
            assert 0 < client.ttl("penstock:log:t:0") <= 300

    watch(scene)


def test_a_writer_who_lost_the_run_writes_nothing_after_its_end(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        assert isinstance(await records.claim("t", "w", 0), Claimed)
        writer = lasting(live)
        writer.append(line("before\n"))
        reading = live.follow("t", 0)
        assert isinstance(await anext(reading), LiveLines)
        await records.sweep()
        writer.append(line("after\n"))
        await writer.close()
        assert isinstance((await collect(reading))[-1], LiveEnd)
        assert text(await collect(live.follow("t", 0))) == b"before\n"

    watch(scene)


def test_a_flood_is_cheap_keeps_the_newest_and_tells_a_late_reader_what_is_missing(
    watch: Callable[[Scene], None], store: Embedded
) -> None:
    lines = 150_000
    size = 100

    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        for number in range(lines):
            writer.append(line(b"%d" % number + b"." * (size - 1 - len(str(number))) + b"\n"))
            if number % 1000 == 0:
                await asyncio.sleep(0)  # lets the sender in, as a run does that is fed by a pipe
        await writer.close(DEADLINE_S)
        await records.resolve(held, DONE)
        parts = await collect(live.follow("t", 0))
        seen = text(parts)
        lost = sum(part.lost_bytes for part in parts if isinstance(part, LiveGap))
        assert lost > 0
        assert len(seen) + lost == lines * size
        assert len(seen) <= STREAM_BYTES
        assert seen.endswith(b".\n") and seen.rstrip(b".\n").endswith(str(lines - 1).encode())
        with redis.Redis.from_url(store.url, protocol=2) as client:
            assert client.xlen("penstock:log:t:0") < 1000
            assert client.memory_usage("penstock:log:t:0", samples=0) < 2 * STREAM_BYTES

    watch(scene)


def test_a_line_longer_than_an_entry_arrives_whole(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        long = bytes(range(32, 127)) * 8000 + b"\n"
        writer.append(line(long))
        writer.append(line("next\n"))
        await writer.close()
        await records.resolve(held, DONE)
        assert text(await collect(live.follow("t", 0))) == long + b"next\n"

    watch(scene)


def test_lines_may_come_from_any_thread(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)

        def write(name: str) -> None:
            for number in range(500):
                writer.append(line(f"{name}{number}\n"))

        await asyncio.gather(*(asyncio.to_thread(write, name) for name in "abc"))
        await writer.close()
        await records.resolve(held, DONE)
        seen = text(await collect(live.follow("t", 0))).decode().split()
        for name in "abc":
            assert [word for word in seen if word[0] == name] == [f"{name}{number}" for number in range(500)]

    watch(scene)


def test_a_frozen_store_never_holds_up_the_run_and_leaves_a_gap_that_is_told() -> None:
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder, Embedded(Path(folder)) as store:

        async def scene() -> None:
            client = connect(store.url)
            records, live = Records(client), LiveLog(client)
            await records.register(NewTask("t", "s", b"{}", "{}", "d", "q", "cli"))
            held = await claim(records)
            server = int((await client.info("server"))["process_id"])
            writer = lasting(live)
            reading = live.follow("t", 0)
            writer.append(line("first\n"))
            assert isinstance(await anext(reading), LiveLines)
            os.kill(server, signal.SIGSTOP)
            try:
                written = len("first\n")
                for number in range(40):
                    writer.append(line(b"%02d" % number + b"x" * 100_000 + b"\n"))
                    written += 100_003
                    await asyncio.sleep(0)
                idle = live.writer("t", 1)
                idle.append(line("x\n"))
                await asyncio.wait_for(idle.close(0.2), DEADLINE_S)
            finally:
                os.kill(server, signal.SIGCONT)
            await writer.close(DEADLINE_S)
            await records.resolve(held, DONE)
            parts = await collect(reading)
            lost = sum(part.lost_bytes for part in parts if isinstance(part, LiveGap))
            seen = text(parts)
            assert lost > 0
            assert len(b"first\n") + len(seen) + lost == written
            assert b"39xxx" in seen and len(seen) <= BUFFER_BYTES + 512 * 1024
            await client.aclose()

        asyncio.run(asyncio.wait_for(scene(), 60))


def test_closing_twice_and_writing_after_the_close_does_nothing(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        held = await claim(records)
        writer = lasting(live)
        writer.append(line("x\n"))
        await first_part(live)
        await writer.close()
        assert await writer.close() is None
        writer.append(line("y\n"))
        await records.resolve(held, DONE)
        assert text(await collect(live.follow("t", 0))) == b"x\n"

    watch(scene)


def test_a_stream_key_that_holds_something_else_stops_the_writer_and_not_the_run(
    watch: Callable[[Scene], None], store: Embedded
) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        with redis.Redis.from_url(store.url, protocol=2) as client:
            client.set("penstock:log:t:0", "not a stream")
        writer = lasting(live)
        writer.append(line("x\n"))
        await writer.close()

    watch(scene)


def test_a_run_that_can_never_come_is_not_waited_for(watch: Callable[[Scene], None]) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        await records.resolve(await claim(records), DONE)
        (end,) = await collect(live.follow("t", 7))
        assert isinstance(end, LiveEnd)
        with pytest.raises(UnknownTask):
            await anext(live.follow("nobody", 0))

    watch(scene)


@pytest.mark.parametrize("after", ["", "1", "x", "1-0", "1-0.x", "1-0.1\n", "-", "$", "1-0.1 ", "0-0." + "9" * 30])
def test_a_hostile_place_in_a_log_is_refused(watch: Callable[[Scene], None], after: str) -> None:
    async def scene(records: Records, live: LiveLog) -> None:
        with pytest.raises(InvalidName):
            await anext(live.follow("t", 0, after=after))

    watch(scene)


CHUNKS = st.lists(
    st.builds(
        Chunk,
        st.sampled_from(["stdout", "stderr", "worker"]),
        st.integers(0, 100),
        st.one_of(st.binary(min_size=1, max_size=20), st.builds(bytes.__add__, st.binary(max_size=9), st.just(b"\n"))),
    ),
    max_size=20,
)


@given(chunks=CHUNKS, offset=st.integers(0, 2**50))
def test_packing_keeps_every_byte_in_order_with_its_source(chunks: list[Chunk], offset: int) -> None:
    entries = pack(chunks, offset, Tally())
    seen: list[tuple[str, int]] = []
    for entry in entries:
        assert entry.offset == offset
        for end, chunk in unpack({name.encode(): _bytes(value) for name, value in entry.fields().items()}):
            offset += len(chunk.data)
            assert end == offset
            seen += [(chunk.source, byte) for byte in chunk.data]
    assert seen == [(chunk.source, byte) for chunk in chunks for byte in chunk.data]


def _bytes(value: str | bytes | int) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
