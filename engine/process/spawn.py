"""Spawn: start a program through the C library's posix_spawn, with nothing inherited but three descriptors, or four.

`subprocess` does the same at twice the cost, and its import takes half a megabyte in each supervisor. `os.posix_spawn`
cannot: it leaves the two signals that glibc keeps for itself ignored in every program that it starts, because it has no
way to name them.
"""

from __future__ import annotations

import ctypes
import os

# spawn.h of glibc and musl.
_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
# Larger than either library's types.
_ATTRIBUTES_BYTES = 1024
_ACTIONS_BYTES = 256
_SIGNALS_BYTES = 128  # of a sigset_t


class Spawner:
    """Starts programs in sessions of their own, with every signal at its default and none blocked."""

    def __init__(self, libc: ctypes.CDLL) -> None:
        self._libc = libc
        self._attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
        self._check(self._libc.posix_spawnattr_init(self._attributes))
        flags = ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID)
        self._check(self._libc.posix_spawnattr_setflags(self._attributes, flags))
        self._check(self._libc.posix_spawnattr_setsigdefault(self._attributes, b"\xff" * _SIGNALS_BYTES))
        self._check(self._libc.posix_spawnattr_setsigmask(self._attributes, bytes(_SIGNALS_BYTES)))
        self._posix_spawn = self._libc.posix_spawn
        self._pid = ctypes.c_int()
        self._pid_at = ctypes.byref(self._pid)
        # By the numbers of the descriptors, which are nearly always the same.
        self._actions: dict[tuple[int, ...], ctypes.Array[ctypes.c_char]] = {}

    def __call__(self, argv: list[bytes], env: list[bytes], stdio: tuple[int, ...]) -> int:
        """The process's id. `argv[0]` is a path, `env` is `name=value` each; see texts.py. `stdio` become 0, 1, 2 and
        so on; every other descriptor has to be close-on-exec. Raises OSError when the kernel refuses."""
        actions = self._actions.get(stdio) or self._actions_for(stdio)
        path = argv[0]
        error = self._posix_spawn(self._pid_at, path, actions, self._attributes, _pointers(argv), _pointers(env))
        if error:
            self._check(error, path)
        return self._pid.value

    def _actions_for(self, stdio: tuple[int, ...]) -> ctypes.Array[ctypes.c_char]:
        if min(stdio) <= 2:
            raise ValueError("a descriptor would be overwritten before it is used")
        actions = ctypes.create_string_buffer(_ACTIONS_BYTES)
        self._check(self._libc.posix_spawn_file_actions_init(actions))
        # In this order: what is numbered 3 by chance is in its place before the fourth one takes that.
        for number, fd in enumerate(stdio):
            self._check(self._libc.posix_spawn_file_actions_adddup2(actions, fd, number))
        self._actions[stdio] = actions
        return actions

    def _check(self, error: int, path: bytes | None = None) -> None:
        if error:
            raise OSError(error, os.strerror(error), *([] if path is None else [os.fsdecode(path)]))


def _pointers(texts: list[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(texts) + 1))(*texts)
