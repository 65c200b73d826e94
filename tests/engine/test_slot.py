"""One slot, run after run: each gets exactly its own words, variables and pipes, whatever came before it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

import pytest

from engine.exits import Exit
from engine.process.slots import Exited, Slot, Slots, SpawnError

PATH = {"PATH": "/usr/bin:/bin"}
SAY_WORDS = ("/usr/bin/printf", "%s\\0")
SAY_VARIABLES = ("/usr/bin/env", "-0")
HOSTILE = ("", " ", "=", "a=b", "-0", "line\nline", "\x1b[2J", "'\"$(id)`id`", "\udcff\udc80", "ü\u2028", "x" * 100_000)


def play(scene: Callable[[Slot, int, int], Coroutine[None, None, None]], folder: Path) -> None:
    """With a slot, an empty stdin and the folder."""

    async def main() -> None:
        fds = os.open(os.devnull, os.O_RDONLY), os.open(folder, os.O_RDONLY)
        async with Slots() as slots:
            await asyncio.wait_for(scene(slots.acquire(), *fds), 20)
        for fd in fds:
            os.close(fd)

    asyncio.run(main())


async def said(slot: Slot, argv: Sequence[str], env: Mapping[str, str], stdin: int, folder: int) -> bytes:
    output: asyncio.Future[dict[int, int]] = asyncio.get_running_loop().create_future()
    exited = slot.start(argv, env, stdin, folder, on_output=output.set_result)
    await asyncio.wait((exited, output), return_when=asyncio.FIRST_COMPLETED)
    found = await asyncio.to_thread(all_of, output.result()) if output.done() else b""
    assert await exited == Exited(Exit(code=0), survivors=False)
    return found


def all_of(readers: dict[int, int]) -> bytes:
    found = b""
    for reader in readers.values():
        with open(reader, "rb") as file:
            found += file.read()
    return found


def test_words_and_variables_of_a_run_are_exactly_its_own(tmp_path: Path) -> None:
    async def scene(slot: Slot, stdin: int, folder: int) -> None:
        # Many before few, long before short: what was there before would show behind what is there now.
        for words in (HOSTILE, ("a", "b"), ("a",), HOSTILE[:-1], ("b",)):
            found = await said(slot, (*SAY_WORDS, *words), PATH, stdin, folder)
            assert found.split(b"\0")[:-1] == [os.fsencode(word) for word in words]
        for values in (HOSTILE, ("a", "b"), ("c",), HOSTILE[:-1], ()):
            env = {f"{value[:10].replace('=', '')}V{number}": value for number, value in enumerate(values)}
            found = await said(slot, SAY_VARIABLES, env, stdin, folder)
            assert found.split(b"\0")[:-1] == [os.fsencode(f"{name}={value}") for name, value in env.items()]

    play(scene, tmp_path)


@pytest.mark.parametrize(
    ("word", "env"),
    [
        ("a\0b", {}),
        ("\0", {}),
        ("\ud800", {}),
        ("a", {"A": "b\0C=d"}),
        ("a", {"A\0B": "c"}),
        ("a", {"A": "\udfff"}),
        ("a", {"": "b"}),
        ("a", {"A=B": "c"}),
    ],
)
def test_what_a_program_cannot_be_given_starts_nothing_and_the_slot_goes_on(
    tmp_path: Path, word: str, env: dict[str, str]
) -> None:
    async def scene(slot: Slot, stdin: int, folder: int) -> None:
        with pytest.raises(SpawnError):
            await slot.start(("/usr/bin/touch", word, "started"), env, stdin, folder, on_output=print)
        assert await said(slot, (*SAY_WORDS, "next"), {}, stdin, folder) == b"next\0"
        assert list(tmp_path.iterdir()) == []

    play(scene, tmp_path)


@pytest.mark.parametrize("argv", [(), ("",), ("", "word")])
def test_a_command_without_a_program_starts_nothing_and_the_slot_goes_on(tmp_path: Path, argv: tuple[str, ...]) -> None:
    async def scene(slot: Slot, stdin: int, folder: int) -> None:
        with pytest.raises(SpawnError):
            await slot.start(argv, {}, stdin, folder, on_output=print)
        assert await said(slot, (*SAY_WORDS, "next"), {}, stdin, folder) == b"next\0"

    play(scene, tmp_path)


@pytest.mark.parametrize("more", [0, 5_000, 20_000])
def test_more_text_than_a_message_holds_starts_nothing_and_the_slot_goes_on(tmp_path: Path, more: int) -> None:
    async def scene(slot: Slot, stdin: int, folder: int) -> None:
        env = {"A": "x" * 100_000, "B": "y" * (96_608 + more)}
        with pytest.raises(SpawnError):
            await slot.start(("/usr/bin/touch", "started"), env, stdin, folder, on_output=print)
        assert await said(slot, (*SAY_WORDS, "next"), {}, stdin, folder) == b"next\0"
        assert list(tmp_path.iterdir()) == []

    play(scene, tmp_path)


def test_a_stranger_with_an_end_of_a_pipe_reaches_no_later_run(tmp_path: Path) -> None:
    """Not below the slot, so nothing ends it; it got hold of the standard output of a run that said nothing."""

    async def scene(slot: Slot, null: int, folder: int) -> None:
        os.mkfifo(tmp_path / "told")
        stdin, open_end = os.pipe()
        readers: dict[int, int] = {}
        argv = ("/bin/sh", "-c", "echo $$ >told; read -r _")
        exited = slot.start(argv, {}, stdin, folder, on_output=readers.update)
        pid = int(await asyncio.to_thread((tmp_path / "told").read_text))
        stranger = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)
        os.close(open_end)
        assert not (await exited).survivors
        os.write(stranger, b"late")
        later: dict[int, int] = {}
        assert (await slot.start((*SAY_WORDS, "next"), {}, null, folder, on_output=later.update)).exit.code == 0
        os.write(stranger, b"r")
        os.close(stranger)
        assert all_of(later) == b"next\0"
        assert all_of(readers) == b"later"
        os.close(stdin)

    play(scene, tmp_path)


def test_output_comes_at_once_and_its_end_with_the_last_who_holds_it(tmp_path: Path) -> None:
    """The slot holds both ends of a silent pipe; it must not keep one of them open after it has handed it over."""

    async def scene(slot: Slot, null: int, folder: int) -> None:
        stdin, open_end = os.pipe()
        output: asyncio.Future[dict[int, int]] = asyncio.get_running_loop().create_future()
        argv = ("/bin/sh", "-c", "echo here >&2; exec 1>&- 2>&-; read -r _")
        exited: asyncio.Future[Exited] = slot.start(argv, {}, stdin, folder, on_output=output.set_result)
        assert await asyncio.to_thread(all_of, await output) == b"here\n"
        assert not exited.done()
        os.close(open_end)
        assert (await exited).exit.code == 1
        os.close(stdin)

    play(scene, tmp_path)
