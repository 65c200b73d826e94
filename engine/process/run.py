"""Run one command in a slot: output drained, time kept, whole tree ended. Knows nothing of exit codes' meaning."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import Struct

from engine.errors import SupervisorError
from engine.exits import Exit
from engine.process.abort import Abort, Reason
from engine.process.lifeline import Lifeline
from engine.process.slots import Ended, Exited, Slot, SpawnError

_T = TypeVar("_T")

BLOCK_BYTES = 256 * 1024  # one read of a pipe; larger blocks did not raise the throughput
# After the main process has ended, its output may still be on the way through a child such as `tee`.
# Nothing waits for an end-of-file longer than this.
DRAIN_S = 1.0
# SIGKILL is answered within milliseconds unless the process is in uninterruptible sleep.
_KILL_PATIENCE_S = 15.0

Stream = Literal["stdout", "stderr"]
_STREAMS: Mapping[int, Stream] = {1: "stdout", 2: "stderr"}
OnOutput = Callable[[Stream, bytes], None]


class Command(Struct, frozen=True):
    """What to start: argv, the whole environment, an open folder to start in and an open stdin.

    `program_fd` becomes its descriptor 3: what it runs itself from.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    folder_fd: int
    stdin_fd: int
    program_fd: int | None = None


class Finished(Struct, frozen=True):
    """`exit` is the main process's; `aborted` why it was asked to end before it had.

    `killed` names what had outlived it; not `clean`: something cannot be killed.
    """

    exit: Exit
    aborted: Reason | None = None
    killed: tuple[str, ...] = ()
    clean: bool = True


async def run_command(
    slot: Slot,
    command: Command,
    *,
    on_output: OnOutput,
    abort: Abort,
    grace_s: float,
    lifeline: Lifeline | None = None,
) -> Finished:
    """Start the command and return when it and everything that it started have ended.

    `on_output` is called with "stdout" or "stderr" and a block of bytes, in the order of reading, in the loop's
    thread; it must not block. On `abort`: SIGTERM, `grace_s` seconds (0: none), SIGKILL. Raises SpawnError when
    the command cannot be started and SupervisorError when the supervisor is gone (the nursery then ends the tree).
    `lifeline`: see there. Cancelling this coroutine breaks the slot, which ends the tree too.
    """
    pipes = _Pipes(on_output)
    try:
        exited = slot.start(
            command.argv,
            command.env,
            command.stdin_fd,
            command.folder_fd,
            program=command.program_fd,
            on_output=pipes.open,
            until_s=lifeline.until_s if lifeline else None,
        )
        if lifeline:
            lifeline.bind(slot.alive)
        end, aborted = await _wait_for_exit(slot, exited, abort, grace_s)
        ended = Ended()
        if end.survivors:
            if aborted is None:
                await pipes.drained(DRAIN_S)
            ended = await _within(slot.end(), "what the command left behind does not end")
        await pipes.drained(DRAIN_S)
        return Finished(end.exit, aborted, ended.names, ended.clean)
    except asyncio.CancelledError:
        slot.close()
        raise
    except SupervisorError:
        slot.close()
        await slot.ended(_KILL_PATIENCE_S)  # the nursery ends the tree
        await pipes.drained(DRAIN_S)
        raise
    finally:
        if lifeline:
            lifeline.bind(None)
        pipes.close()


async def _wait_for_exit(
    slot: Slot, exited: asyncio.Future[Exited], abort: Abort, grace_s: float
) -> tuple[Exited, Reason | None]:
    """How the command ended, and why it was told to when it did not end by itself."""
    ending = _Ending(slot, exited, grace_s)
    abort.bind(ending.begin)
    try:
        end = await exited
    finally:
        abort.bind(None)
        ending.over()
    return end, abort.reason if ending.begun else None


class _Ending:
    """SIGTERM, a grace period, SIGKILL, and no endless wait. Makes nothing before it begins: few runs need it."""

    def __init__(self, slot: Slot, exited: asyncio.Future[Exited], grace_s: float) -> None:
        self._slot = slot
        self._exited = exited
        self._grace_s = grace_s
        self._timer: asyncio.TimerHandle | None = None
        self.begun = False

    def begin(self) -> None:
        """Does nothing when the command has ended."""
        if self._exited.done():
            return
        self.begun = True
        if self._grace_s > 0:
            self._slot.terminate()
            self._later(self._grace_s, self._kill)
        else:
            self._kill()

    def _kill(self) -> None:
        self._slot.kill()
        self._later(_KILL_PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        if not self._exited.done():
            self._exited.set_exception(SupervisorError("the command does not end after SIGKILL"))

    def _later(self, after_s: float, call: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(after_s, call)

    def over(self) -> None:
        if self._timer:
            self._timer.cancel()


async def _done(future: asyncio.Future[None], within_s: float) -> None:
    """Wait until it is done, or the time is over: `asyncio.wait`, at a third of its cost."""
    timer = asyncio.get_running_loop().call_later(within_s, _settle, future)
    try:
        await future
    finally:
        timer.cancel()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _within(future: asyncio.Future[_T], message: str) -> _T:
    try:
        return await asyncio.wait_for(future, _KILL_PATIENCE_S)
    except TimeoutError:
        raise SupervisorError(message) from None


class _Pipes:
    """The pipes of one run, which come from its supervisor when there is something to read."""

    def __init__(self, on_output: OnOutput) -> None:
        self._on_output = on_output
        self._open: dict[int, Stream] = {}
        self._drained: asyncio.Future[None] | None = None
        self._closed = False

    def open(self, readers: Mapping[int, int]) -> None:
        self._loop = asyncio.get_running_loop()
        for number, reader in readers.items():
            if self._closed:
                os.close(reader)
                continue
            os.set_blocking(reader, False)  # the writing end stays blocking: programs expect that of their stdout
            self._open[reader] = _STREAMS[number]
            self._loop.add_reader(reader, self._read, reader)

    async def drained(self, within_s: float) -> None:
        """Wait until both pipes are at their end, or the time is over."""
        if self._open:
            self._drained = self._loop.create_future()
            await _done(self._drained, within_s)

    def _read(self, reader: int) -> None:
        try:
            block = os.read(reader, BLOCK_BYTES)
        except BlockingIOError:
            return
        if not block:
            self._shut(reader)
            return
        if len(block) == _PIPE_BYTES:
            _widen(reader)
        self._on_output(self._open[reader], block)

    def _shut(self, reader: int) -> None:
        self._loop.remove_reader(reader)
        os.close(reader)
        del self._open[reader]
        if not self._open and self._drained:
            _settle(self._drained)

    def close(self) -> None:
        self._closed = True
        for reader in list(self._open):
            self._shut(reader)


_PIPE_BYTES = 65536  # Linux's default; a full one says that the command writes faster than we wake up


def _widen(reader: int) -> None:
    try:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, BLOCK_BYTES)
    except OSError:
        pass  # the user's share of pipe memory is used up; the default size works too


__all__ = ["Command", "Finished", "SpawnError", "run_command"]
