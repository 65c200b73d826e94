"""Supervisor: the small processes between the worker and its commands.

One nursery forks one slot for each command that may run at a time. A slot runs one command after the other, is a
child subreaper, and ends everything below it when a run ends, when it is told to, and when the worker is gone:
its socket then closes, however the worker died. The nursery is a subreaper too, so that the tree of a slot that
was killed falls to the nursery, which ends it.

Runs in an interpreter of its own without site-packages; imports nothing but its neighbours and modules of the standard
library that are written in C, because its memory is paid for each slot: every page with something that a slot uses.
"""

from __future__ import annotations

import _socket as socket  # what `socket` makes its enums of
import ctypes
import gc
import mmap
import os
import select
import sys
import time

from engine.process import texts, tree, wire
from engine.process.spawn import Spawner

TYPE_CHECKING = False  # `typing` would take a megabyte
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what `signal` makes its enums of

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PR_SET_NAME = 15
_SIGNALS_LONGS = 16  # at least what a sigset_t has
# Rounds of killing before the worker is told that something does not die; each lasts 20 ms at the most.
_ROUNDS_BEFORE_REPORT = 300
_LAST_MOMENT_MS = 30
# A tree whose time is over is killed again and again, a generation each time, until nothing is left of it.
_LAPSED_AGAIN_S = 0.01
_REHEARSALS = 10  # the interpreter rewrites what has run eight times
_SIGNALFD_BYTES = 128  # one signalfd_siginfo: of one signal, one is pending at the most


def main(control_fd: int, *held: int) -> None:
    """Entry of the nursery. `control_fd` is its end of the socket pair that the worker holds; `held` stay open."""
    for fd in (control_fd, *held):
        os.set_inheritable(fd, False)  # no command gets them
    os.setsid()  # a Ctrl-C at the worker's terminal is for the worker to answer
    os.umask(0o077)
    os.chdir("/")
    libc = ctypes.CDLL(None, use_errno=True)
    spawner = Spawner(libc)
    _rehearse(libc, spawner)
    _adopt_orphans(libc)
    _name(libc, b"penstock-nurse")
    wakeup = _wake_on_sigchld(libc)
    control = socket.socket(fileno=control_fd)
    gc.freeze()
    _nurse(libc, control, spawner, wakeup)
    os._exit(0)  # who waits for us does not wait for the interpreter to clear up


def _nurse(libc: ctypes.CDLL, control: socket.socket, spawner: Spawner, wakeup: int) -> None:
    slots: dict[int, int] = {}  # the number of each by its process
    asked: dict[int, int] = {}  # descriptors that are closed once nothing of the slot with that number is left
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    orphaned = False
    while not orphaned or _reap_slots(slots):
        ready = {fd for fd, _ in poll.poll()}
        if wakeup in ready:
            os.read(wakeup, 4096)
            _reap_slots(slots)
        if control.fileno() in ready:
            message, fds = wire.receive(control)
            match message:
                case ("slot", number):
                    try:
                        pid = os.fork()
                    except OSError:  # no more processes are allowed; the worker sees its end of the socket close
                        os.close(fds[0])
                        continue
                    if pid == 0:
                        control.close()
                        for fd in (wakeup, *asked.values()):
                            os.close(fd)
                        _Slot(libc, socket.socket(fileno=fds[0]), spawner).serve()
                        os._exit(0)
                    slots[pid] = number
                    os.close(fds[0])
                case ("ended", number):
                    asked[number] = fds[0]
                    _reap_slots(slots)
                case _:
                    # The worker is gone. Each slot sees that on its own socket, ends its tree and itself; the
                    # nursery stays until they have, so that nothing is ever without a supervisor.
                    orphaned = True
                    poll.unregister(control)
        if asked and all(pid in slots for pid in tree.children()):
            for number in set(asked).difference(slots.values()):
                os.close(asked.pop(number))


def _rehearse(libc: ctypes.CDLL, spawner: Spawner) -> None:
    """Runs that come to nothing: what the interpreter writes down at the first ones is then shared by all slots."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    here = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
    slot = _Slot(libc, theirs, spawner)
    try:
        for _ in range(_REHEARSALS):
            wire.send(ours, ("run", b"/", b"A=B", None), (here, here))  # a folder is no program
    except OSError:
        pass  # too many descriptors are on their way at the moment: less is shared
    ours.shutdown(socket.SHUT_WR)
    slot.serve()
    for fd in (slot.wakeup, here):
        os.close(fd)


def _reap_slots(slots: dict[int, int]) -> bool:
    """Collect slots that have ended and end what they left. True while something is below."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            break
        slots.pop(pid, None)
    # Whatever is below us and is no slot was below a slot that died; its own children come next, one SIGCHLD later.
    for pid in tree.children():
        if pid not in slots:
            os.kill(pid, signal.SIGKILL)
    return True


class _Run:
    """The run that a slot has at the moment."""

    __slots__ = ("deadline_s", "exited", "main", "readers", "writers")

    def __init__(self, main: int, until_s: float | None, pipes: list[int]) -> None:
        self.main = main
        self.exited = False
        # It may go on until then unless the worker says more; None: for as long as the worker lives.
        self.deadline_s = until_s
        # The pipes of its stdout and stderr; none when they are at their end or handed over.
        self.readers = pipes[::2]
        self.writers = pipes[1::2]


class _Slot:
    """Runs one command after the other. Nothing is below it between two of them.

    The slot holds the pipes of a command open itself for as long as it watches them. So it sleeps until something was
    written or somebody has ended: each time that it wakes up costs more than all that it then does.
    """

    def __init__(self, libc: ctypes.CDLL, sock: socket.socket, spawner: Spawner) -> None:
        _adopt_orphans(libc)
        _name(libc, b"penstock-slot")
        self._sock = sock
        self._number = sock.fileno()
        self._spawner = spawner
        self.wakeup = _wake_on_sigchld(libc)
        self._poll = select.poll()
        self._poll.register(self._number, select.POLLIN)
        self._poll.register(self.wakeup, select.POLLIN)
        # Nothing but the pages that messages come into is ever taken from the machine.
        self._buffer = memoryview(mmap.mmap(-1, wire.MOST_BYTES, flags=mmap.MAP_PRIVATE))

    def serve(self) -> None:
        """Until the worker is gone; then everything below ends."""
        try:
            while True:
                message, fds = wire.receive_into(self._sock, self._buffer)  # there is nobody else to wait for
                match message:
                    case ("run", argv, env, until_s):
                        run = self._spawn(argv, env, until_s, fds)
                        if run and not self._see_through(run):
                            break
                    case None:
                        break
                    case _:  # it has crossed the end of the run that it was for
                        continue
        except OSError:
            pass  # the worker is gone in the middle of an answer
        while not tree.end_all(_ROUNDS_BEFORE_REPORT):
            continue

    def _spawn(self, argv: bytes, env: bytes, until_s: float | None, fds: list[int]) -> _Run | None:
        stdin, folder, *program = fds
        pipes: list[int] = []
        try:
            if until_s is not None and time.monotonic() >= until_s:
                raise ValueError("it was asked for too late: another worker may have the run by now")
            pipes += os.pipe2(os.O_CLOEXEC)
            pipes += os.pipe2(os.O_CLOEXEC)
            os.fchdir(folder)
            stdio = (stdin, pipes[1], pipes[3], *program)
            run = _Run(self._spawner(texts.split(argv), texts.split(env), stdio), until_s, pipes)
        except (OSError, ValueError) as error:
            number = error.errno if isinstance(error, OSError) else None
            wire.send(self._sock, ("failed", number, str(error)))
            fds += pipes
            return None
        finally:
            os.chdir("/")
            for fd in fds:
                os.close(fd)
        for reader in run.readers:
            self._poll.register(reader, select.POLLIN)
        return run

    def _see_through(self, run: _Run) -> bool:
        """Until nothing is left of the run. False: the worker is gone before."""
        while True:
            for fd, _ in self._poll.poll(self._mind_deadline(run)):
                if fd == self.wakeup:
                    os.read(fd, _SIGNALFD_BYTES)
                    if self._collect(run):
                        return True
                elif fd == self._number:
                    message, _ = wire.receive_into(self._sock, self._buffer)
                    if message is None:
                        return False
                    if self._obey(run, message):
                        return True
                elif fd in run.readers:  # there is something in it
                    self._hand_over(run)

    def _mind_deadline(self, run: _Run) -> int | None:
        """Milliseconds until there is something to do for the deadline; kill what is left when it is over."""
        if run.deadline_s is None:
            return None
        left_s = run.deadline_s - time.monotonic()
        if left_s <= 0:
            # The worker is frozen or cut off: by now another may have the run.
            tree.signal_all(signal.SIGKILL)
            left_s = _LAPSED_AGAIN_S
            run.deadline_s = time.monotonic() + left_s
        return int(left_s * 1000) + 1

    def _obey(self, run: _Run, message: wire.Message) -> bool:
        """True when nothing is left of the run after that."""
        match message:
            case ("alive", until_s):
                run.deadline_s = until_s
            case ("terminate",):
                tree.signal_all(signal.SIGTERM)
            case ("kill",) if not run.exited:
                # The main process first: its end is reported, with the signal, after the next SIGCHLD.
                tree.signal_all(signal.SIGKILL)
            case ("end",) if run.exited:
                _end(self._sock)
                return True
        return False

    def _collect(self, run: _Run) -> bool:
        """Reap what has ended; report the main process, and whether others live on. True when nothing is left."""
        code: int | None = None
        alive = True
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == run.main:
                    code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            alive = False
        if code is None:
            return False
        run.exited = True
        if run.readers and not self._nothing_said(run):
            self._hand_over(run)
        wire.send(self._sock, ("exited", code, alive))
        return not alive

    def _nothing_said(self, run: _Run) -> bool:
        """Close the pipes in which nothing is, and nothing can come any more. Most commands that say nothing never
        cost the worker a look."""
        _close(run.writers)
        found = dict(self._poll.poll(0))
        for reader in run.readers:
            if found.get(reader) != select.POLLHUP:
                return False  # the command wrote something, or somebody else holds it
        self._close_readers(run)
        return True

    def _hand_over(self, run: _Run) -> None:
        """From now on the pipes are the worker's."""
        _close(run.writers)
        wire.send(self._sock, ("output", (1, 2)), run.readers)
        self._close_readers(run)

    def _close_readers(self, run: _Run) -> None:
        for reader in run.readers:
            self._poll.unregister(reader)
        _close(run.readers)


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


def _end(sock: socket.socket) -> None:
    # What has closed the command's output may be about to end by itself; that is not worth a line in the log.
    for _ in range(_LAST_MOMENT_MS):
        if not tree.reap():
            break
        select.poll().poll(1)
    names = tree.names()
    clean = tree.end_all(_ROUNDS_BEFORE_REPORT)
    wire.send(sock, ("ended", names, clean))


def _adopt_orphans(libc: ctypes.CDLL) -> None:
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _name(libc: ctypes.CDLL, name: bytes) -> None:
    libc.prctl(_PR_SET_NAME, name, 0, 0, 0)


def _wake_on_sigchld(libc: ctypes.CDLL) -> int:
    """A descriptor that becomes readable after a child has ended; made anew after a fork.

    A signal that is blocked and read wakes us up once; one that the interpreter handles, twice.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    mask = (ctypes.c_ulong * _SIGNALS_LONGS)(1 << (signal.SIGCHLD - 1))
    fd = int(libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return fd


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
