"""Supervisor: the small processes between the worker and its commands.

One nursery forks one slot for each command that may run at a time. A slot runs one command after the other, is a
child subreaper, and ends everything below it when a run ends, when it is told to, and when the worker is gone:
its socket then closes, however the worker died. The nursery is a subreaper too, so that the tree of a slot that
was killed falls to the nursery, which ends it.

Runs in an interpreter of its own without site-packages; imports nothing but the standard library and its two
neighbours, because its memory is paid once for each slot.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from engine.process import tree, wire
from engine.process.spawn import Spawner

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PR_SET_NAME = 15
_SIGNALS_LONGS = 16  # at least what a sigset_t has
_ALL_SIGNALS = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
# Rounds of killing before the worker is told that something does not die; each lasts 20 ms at the most.
_ROUNDS_BEFORE_REPORT = 300
_LAST_MOMENT_MS = 30
# A tree whose time is over is killed again and again, a generation each time, until nothing is left of it.
_LAPSED_AGAIN_S = 0.01


def main(control_fd: int, *held: int) -> None:
    """Entry of the nursery. `control_fd` is its end of the socket pair that the worker holds; `held` stay open."""
    for fd in (control_fd, *held):
        os.set_inheritable(fd, False)  # no command gets them
    os.setsid()  # a Ctrl-C at the worker's terminal is for the worker to answer
    os.umask(0o077)
    os.chdir("/")
    _adopt_orphans()
    _name("penstock-nurse")
    wakeup = _wake_on_sigchld()
    gc.freeze()
    _nurse(socket.socket(fileno=control_fd), wakeup)
    os._exit(0)  # who waits for us does not wait for the interpreter to clear up


def _nurse(control: socket.socket, wakeup: int) -> None:
    slots: dict[int, int] = {}  # the number of each by its process
    asked: dict[int, int] = {}  # descriptors that are closed once nothing of the slot with that number is left
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    spawner = Spawner()
    orphaned = False
    while not orphaned or _reap_slots(slots):
        ready = {fd for fd, _ in poll.poll()}
        if wakeup in ready:
            os.read(wakeup, 4096)
            _reap_slots(slots)
        if control.fileno() in ready:
            message, fds = wire.receive(control)
            match message:
                case ("slot", int(number)):
                    try:
                        pid = os.fork()
                    except OSError:  # no more processes are allowed; the worker sees its end of the socket close
                        os.close(fds[0])
                        continue
                    if pid == 0:
                        control.close()
                        for fd in (wakeup, *asked.values()):
                            os.close(fd)
                        _slot(socket.socket(fileno=fds[0]), spawner)
                        os._exit(0)
                    slots[pid] = number
                    os.close(fds[0])
                case ("ended", int(number)):
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

    def __init__(self, pid: int, until_s: float | None, outputs: dict[int, int]) -> None:
        self.main = pid
        self.exited = False
        # It may go on until then unless the worker says more; None: for as long as the worker lives.
        self.deadline_s = until_s
        # The pipes of its stdout (1) and stderr (2) by their reading ends, until they are at their end or handed over.
        self.outputs = outputs

    @property
    def left_ms(self) -> int | None:
        return None if self.deadline_s is None else max(0, int((self.deadline_s - time.monotonic()) * 1000) + 1)

    @property
    def lapsed(self) -> bool:
        return self.deadline_s is not None and time.monotonic() >= self.deadline_s


def _slot(sock: socket.socket, spawner: Spawner) -> None:
    _adopt_orphans()
    _name("penstock-slot")
    wakeup = _wake_on_sigchld()
    poll = select.poll()
    number = sock.fileno()
    poll.register(number, select.POLLIN)
    poll.register(wakeup, select.POLLIN)
    run: _Run | None = None
    try:
        while True:
            ready = dict(poll.poll(run.left_ms if run else None))
            if run and run.lapsed:
                # The worker is frozen or cut off: by now another may have the run.
                tree.signal_all(signal.SIGKILL)
                run.deadline_s = time.monotonic() + _LAPSED_AGAIN_S
            if run and run.outputs:
                _look_at_outputs(sock, poll, run, ready)
            if wakeup in ready:
                os.read(wakeup, 4096)
                run = _collect(sock, poll, run)
            if number in ready:
                message, fds = wire.receive(sock)
                if message is None:
                    break
                run = _obey(sock, poll, spawner, run, message, fds)
    except OSError:
        pass  # the worker is gone in the middle of an answer
    while not tree.end_all(_ROUNDS_BEFORE_REPORT):
        continue


def _look_at_outputs(sock: socket.socket, poll: select.poll, run: _Run, ready: dict[int, int]) -> None:
    """Watch the pipes of a run until something is in one of them: from then on they are the worker's.

    Most commands that say nothing never cost the worker a look.
    """
    for fd in list(run.outputs):
        if ready.get(fd, 0) & select.POLLIN:
            _hand_over(sock, poll, run)
            return
        if fd in ready:  # nothing was written, and nobody can any more
            poll.unregister(fd)
            os.close(fd)
            del run.outputs[fd]


def _hand_over(sock: socket.socket, poll: select.poll, run: _Run) -> None:
    wire.send(sock, ("output", tuple(run.outputs.values())), tuple(run.outputs))
    for fd in run.outputs:
        poll.unregister(fd)
        os.close(fd)
    run.outputs.clear()


def _obey(
    sock: socket.socket,
    poll: select.poll,
    spawner: Spawner,
    run: _Run | None,
    message: tuple[Any, ...],
    fds: list[int],
) -> _Run | None:
    match message:
        case ("run", argv, env, until_s):
            return _spawn(sock, poll, spawner, argv, env, until_s, fds)
        case ("alive", until_s) if run:
            run.deadline_s = until_s
        case ("terminate",) if run:
            tree.signal_all(signal.SIGTERM)
        case ("kill",) if run and not run.exited:
            # The main process first: its end is reported, with the signal, after the next SIGCHLD.
            tree.signal_all(signal.SIGKILL)
        case ("end",) if run and run.exited:
            _end(sock)
            return None
    return run


def _spawn(
    sock: socket.socket,
    poll: select.poll,
    spawner: Spawner,
    argv: list[bytes],
    env: dict[bytes, bytes],
    until_s: float | None,
    fds: list[int],
) -> _Run | None:
    stdin, folder, *program = fds
    readers: list[int] = []
    writers: list[int] = []
    try:
        if until_s is not None and time.monotonic() >= until_s:
            raise ValueError("it was asked for too late: another worker may have the run by now")
        for _ in range(2):
            reader, writer = os.pipe2(os.O_CLOEXEC)
            readers.append(reader)
            writers.append(writer)
        os.fchdir(folder)
        pid = spawner(argv, env, (stdin, *writers, *program))
        run = _Run(pid, until_s, dict(zip(readers, (1, 2), strict=True)))
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        wire.send(sock, ("failed", number, str(error)))
        fds += readers
        return None
    finally:
        os.chdir("/")
        for fd in (*fds, *writers):
            os.close(fd)
    for reader in readers:
        poll.register(reader, select.POLLIN)
    return run


def _collect(sock: socket.socket, poll: select.poll, run: _Run | None) -> _Run | None:
    """Reap what has ended; report the main process, and whether others live on."""
    code: int | None = None
    alive = True
    while alive:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            alive = False
            break
        if pid == 0:
            break
        if run and pid == run.main:
            run.exited = True
            code = os.waitstatus_to_exitcode(status)
    if run is None or code is None:
        return run
    if run.outputs:
        _look_at_outputs(sock, poll, run, dict(poll.poll(0)))
    if run.outputs:  # somebody else holds one
        _hand_over(sock, poll, run)
    wire.send(sock, ("exited", code, alive))
    return run if alive else None


def _end(sock: socket.socket) -> None:
    # What has closed the command's output may be about to end by itself; that is not worth a line in the log.
    for _ in range(_LAST_MOMENT_MS):
        if not tree.reap():
            break
        select.poll().poll(1)
    names = tree.names()
    clean = tree.end_all(_ROUNDS_BEFORE_REPORT)
    wire.send(sock, ("ended", names, clean))


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _name(name: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def _wake_on_sigchld() -> int:
    """A descriptor that becomes readable after a child has ended; made anew after a fork.

    A signal that is blocked and read wakes us up once; one that the interpreter handles, twice.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    mask = (ctypes.c_ulong * _SIGNALS_LONGS)(1 << (signal.SIGCHLD - 1))
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return fd


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
