"""Slots: the worker's end of its supervisors; each slot runs one command at a time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from engine.errors import SupervisorError
from engine.exits import Exit
from engine.process import texts, wire
from engine.process.nursery import Nursery

_T = TypeVar("_T")
# Much more than any report of a supervisor has.
_REPORT_BYTES = 16 * 1024
# By 1 for stdout and 2 for stderr, the reading ends of the pipes that something is in, or that somebody still holds.
OnOutput = Callable[[dict[int, int]], None]


class SpawnError(Exception):
    """The command could not be started at all. `errno` is the kernel's answer, None when its argv was refused."""

    def __init__(self, errno: int | None, text: str) -> None:
        self.errno = errno
        super().__init__(text)


class Exited(Struct, frozen=True):
    """The main process has ended. `survivors`: something that it started lives on."""

    exit: Exit
    survivors: bool


class Ended(Struct, frozen=True):
    """Everything below the slot was ended. `names` says what had survived; not `clean`: something still lives."""

    names: tuple[str, ...] = ()
    clean: bool = True


class Slot:
    """One supervisor. Not reusable once a method raised SupervisorError; see `usable`."""

    def __init__(self, nursery: Nursery, number: int) -> None:
        """Raises OSError."""
        sock = nursery.fork(number)
        sock.setblocking(False)
        self._number = number
        self._nursery = nursery
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._receive)
        self._exited: asyncio.Future[Exited] | None = None
        self._ended: asyncio.Future[Ended] | None = None
        self._on_output: OnOutput | None = None
        self.usable = True

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        stdin: int,
        folder: int,
        *,
        program: int | None = None,
        on_output: OnOutput,
        until_s: float | None = None,
    ) -> asyncio.Future[Exited]:
        """Start a command, with these descriptors (duplicated) as its stdin and as the folder it starts in.

        `program`: one more, which becomes its descriptor 3.

        With `until_s`, of CLOCK_MONOTONIC, the supervisor does not start it later, and kills its tree then unless
        `alive` says more. `on_output` is called before the future is done, and never for a command that wrote nothing
        and left nothing behind that could.

        The future yields Exited, or raises SpawnError (the slot is free again) or SupervisorError.
        """
        self._exited = self._loop.create_future()
        self._ended = None
        self._on_output = on_output
        try:
            fds = (stdin, folder) if program is None else (stdin, folder, program)
            words, variables = texts.words(argv), texts.variables(env)
            if len(words) + len(variables) > wire.MESSAGE_BYTES:
                raise ValueError(f"argv and environment are larger than {wire.MESSAGE_BYTES} bytes")
            wire.send(self._sock, ("run", words, variables, until_s), fds)
        except OSError as error:
            self._break(f"the supervisor does not answer: {error.strerror}")
        except ValueError as error:
            self._exited.set_exception(SpawnError(None, str(error)))
        return self._exited

    def alive(self, until_s: float) -> None:
        """This worker still has the run: let the tree go on until then, by CLOCK_MONOTONIC."""
        self._tell("alive", until_s)

    def terminate(self) -> None:
        """SIGTERM to the command and its process group. Does nothing when it has ended."""
        self._tell("terminate")

    def kill(self) -> None:
        """SIGKILL to the command and its process group."""
        self._tell("kill")

    def end(self) -> asyncio.Future[Ended]:
        """End all that lives below the slot, after Exited with survivors. Called twice: the same future."""
        if self._ended is None:
            self._ended = self._loop.create_future()
            self._tell("end")
        return self._ended

    async def ended(self, within_s: float) -> None:
        """After `close`: wait until nothing is left of the supervisor and of what was below it."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        gone = self._loop.create_future()
        self._loop.add_reader(reader, _settle, gone, None)
        try:
            with contextlib.suppress(OSError, TimeoutError):  # the nursery is gone, too; or something does not end
                try:
                    self._nursery.tell_end(self._number, writer)
                finally:
                    os.close(writer)
                await asyncio.wait_for(gone, within_s)
        finally:
            self._loop.remove_reader(reader)
            os.close(reader)

    def close(self) -> None:
        """Let the supervisor go: it ends whatever it has below it, then itself. Called twice: no-op."""
        self.usable = False
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._fail("the supervisor was let go")

    def _tell(self, *message: object) -> None:
        try:
            wire.send(self._sock, message)
        except OSError as error:
            self._break(f"the supervisor does not answer: {error.strerror}")

    def _receive(self) -> None:
        try:
            message, fds = wire.receive(self._sock, _REPORT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message, fds = None, []
        # No pattern asks for a class, as `int(code)` does: the interpreter makes the name that it then looks for anew
        # each time, and keeps it in the place of one that it needs.
        match message:
            case ("output", sources) if self._on_output:
                self._on_output(dict(zip(sources, fds, strict=True)))
            case ("exited", code, survivors):
                _settle(self._exited, Exited(Exit(code=code) if code >= 0 else Exit(signal=-code), survivors))
            case ("failed", number, text):
                if self._exited and not self._exited.done():
                    self._exited.set_exception(SpawnError(number, text))
            case ("ended", names, clean):
                self.usable = self.usable and clean
                _settle(self._ended, Ended(tuple(names), clean))
            case _:
                for fd in fds:
                    os.close(fd)
                self._break("the supervisor of the run was killed")

    def _break(self, why: str) -> None:
        self._fail(why)
        self.close()

    def _fail(self, why: str) -> None:
        for future in (self._exited, self._ended):
            if future and not future.done():
                future.set_exception(SupervisorError(why))


def _settle(future: asyncio.Future[_T] | None, value: _T) -> None:
    if future and not future.done():
        future.set_result(value)


class Slots:
    """The supervisors of one worker. Made on demand and kept: at most as many as ran at one time.

    Use it as an async context manager. Leaving it, or the end of this process by whatever means, ends every
    command that still runs.
    """

    def __init__(self, hold: Sequence[int] = (), nursery: Nursery | None = None) -> None:
        """`hold`: descriptors that the supervisors keep open for as long as anything of a run lives, such as a lock.

        `nursery`: one that was started already, which is ours from now on.
        """
        self._hold = tuple(hold)
        self._nursery = nursery
        self._numbers = itertools.count()
        self._free: list[Slot] = []
        self._all: set[Slot] = set()

    async def __aenter__(self) -> Slots:
        return self

    async def __aexit__(self, *_: object) -> None:
        for slot in self._all:
            slot.close()
        self._all.clear()
        self._free.clear()
        if self._nursery:
            self._nursery.close()
            # It waits for its slots, which wait for their trees.
            await asyncio.to_thread(self._nursery.wait)
        self._nursery = None

    def acquire(self) -> Slot:
        """A free slot, or a new one. Raises SupervisorError when none can be made."""
        while self._free:
            slot = self._free.pop()
            if slot.usable:
                return slot
            self._all.discard(slot)
        slot = self._spawn()
        self._all.add(slot)
        return slot

    def release(self, slot: Slot) -> None:
        """Give a slot back after its run has ended. One that is not usable any more is let go."""
        if slot.usable:
            self._free.append(slot)
        else:
            slot.close()
            self._all.discard(slot)

    def _spawn(self) -> Slot:
        try:
            if self._nursery is None or not self._nursery.alive:
                if self._nursery:
                    self._nursery.close()
                self._nursery = Nursery(self._hold)
            return Slot(self._nursery, next(self._numbers))
        except OSError as error:
            raise SupervisorError(f"no supervisor can be started: {error}") from error
