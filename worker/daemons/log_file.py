"""Log file: the log of a process beside stderr, turned over when it is large; older parts are compressed.

A disk that is full, or a folder that is gone, costs lines of the file and nothing else: stderr has them.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import shutil
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from engine.errors import PenstockError
from worker.config import LogSettings

_MODE = 0o600
_BLOCK = 256 * 1024
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class LogFileTaken(PenstockError):
    """Another process writes it, or it cannot be written at all."""


class LogFile:
    """`kept` older parts stay: `NAME.1.gz` is the newest of them. Compressing happens in a thread; while it does the
    file may grow beyond `max_bytes`. Any thread may write. Raises LogFileTaken.
    """

    def __init__(self, path: Path, max_bytes: int, kept: int) -> None:
        self.path = path
        self._max = max_bytes
        self._kept = kept
        self._lock = threading.Lock()
        self._packing: threading.Thread | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._owner = os.open(f"{path}.lock", _FLAGS, _MODE)
            self._fd = os.open(path, _FLAGS, _MODE)
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LogFileTaken(f"another process writes {path}: let log.file have {{name}} in it") from None
        except OSError as error:
            raise LogFileTaken(f"log.file: {path}: {error.strerror}") from None
        self._size = os.fstat(self._fd).st_size
        if self._part(1, plain=True).exists():  # whoever was to compress it was killed
            self._pack()

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        with self._lock, suppress(OSError):
            self._size += os.write(self._fd, data)
            if self._size >= self._max and not (self._packing and self._packing.is_alive()):
                self._turn()

    def close(self) -> None:
        if self._packing:
            self._packing.join()
        os.close(self._fd)
        os.close(self._owner)

    def _turn(self) -> None:
        plain = self._part(1, plain=True)
        if plain.exists():  # it could not be compressed
            self._pack()
            return
        self._part(self._kept).unlink(missing_ok=True)
        for number in range(self._kept - 1, 0, -1):
            with suppress(FileNotFoundError):
                self._part(number).rename(self._part(number + 1))
        self.path.rename(plain)
        before, self._fd = self._fd, os.open(self.path, _FLAGS, _MODE)
        os.close(before)
        self._size = 0
        self._pack()

    def _pack(self) -> None:
        self._packing = threading.Thread(target=self._compress, name="log file", daemon=True)
        self._packing.start()

    def _compress(self) -> None:
        plain, packed = self._part(1, plain=True), self._part(1)
        part = packed.with_name(packed.name + ".part")
        with suppress(OSError):
            with (
                plain.open("rb") as source,
                open(os.open(part, _FLAGS | os.O_TRUNC, _MODE), "wb") as target,
                gzip.GzipFile(plain.name, "wb", 6, target) as file,
            ):
                shutil.copyfileobj(source, file, _BLOCK)
            part.rename(packed)
            plain.unlink()

    def _part(self, number: int, *, plain: bool = False) -> Path:
        return _part(self.path, number, plain=plain)


def _part(path: Path, number: int, *, plain: bool = False) -> Path:
    return path.with_name(f"{path.name}.{number}{'' if plain else '.gz'}")


def tail_of(path: Path, lines: int, most_bytes: int) -> str:
    """The last whole lines of a log file, of this part and the one before. Reads from the disk."""
    data = _end_of(path, most_bytes + 1)
    if data.count(b"\n") < lines and len(data) <= most_bytes:
        before = _end_of(_part(path, 1, plain=True), most_bytes + 1)
        data = (before or _end_of_packed(_part(path, 1), most_bytes + 1)) + data
    cut = len(data) > most_bytes
    found = data[-most_bytes - 1 :].splitlines(keepends=True)
    return b"".join((found[1:] if cut else found)[-lines:] if lines else []).decode("utf-8", "replace")


def log_file(settings: LogSettings) -> LogFile | None:
    """The one that the settings name. Raises LogFileTaken."""
    return LogFile(settings.file, settings.file_size, settings.files_kept) if settings.file else None


def _end_of(path: Path, most: int) -> bytes:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read(most)
    return b""


def _end_of_packed(path: Path, most: int) -> bytes:
    end = b""
    with suppress(OSError, EOFError, zlib.error), gzip.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            end = (end + block)[-most:]
    return end


class Beside:
    """A text stream that also goes into the file."""

    def __init__(self, stream: TextIO, file: LogFile) -> None:
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()
