"""Writer: the log of one run, as a text file with its index, and to live readers as it grows."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from engine.log.index import IndexBuffer
from engine.log.lines import ERROR_PREFIX, INFO_PREFIX, Lines
from engine.log.record import Chunk, Source, Tap

# What is kept of stderr after the cap, so that the reason of a failure is not what was cut.
TAIL_BYTES = 64 * 1024
_MARKS_BYTES = 512  # the lines in which the log says that and where it was cut
_PART_BYTES = 4096  # a shorter part of a line is not worth keeping without its end
_INDEX_BLOCK_BYTES = 64 * 1024
_TEXT_BLOCK_BYTES = 64 * 1024
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class LogSummary(Struct, frozen=True):
    """`bytes` is the size of the text; `truncated`: more was written than the limit allows.

    `error` names why the log could not be written to its end (a full disk); then the run must not count as good.
    """

    bytes: int
    truncated: bool
    error: str | None = None


class LogWriter:
    """Not thread-safe. Never raises for what it is fed; memory stays bounded whatever that is.

    `path` gets the text and `path` with the suffix `.idx` the index; both are made with mode 0600 and must not
    exist. The command's output, with the marks of a cut, stays within `max_bytes`; the worker's own lines come on
    top. `clock_ms` gives the time of a chunk.

    The text is on the disk as soon as the command has written something, and before that when `save` is called. With
    `keep_short`, a log to which that has not happened when it is closed becomes no file: it is in `text` and `index`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int,
        tap: Tap | None = None,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        keep_short: bool = False,
        on_live: Callable[[], None] | None = None,
    ) -> None:
        self._path = path
        self.text: bytes | None = None
        """The text of a log that became no file, once it is closed."""
        self.index: bytes | None = None
        """The index of a log for which no file was made, once it is closed."""
        self._fd = -1
        self._index_fd = -1
        self._unsaved = bytearray()
        self._keep_short = keep_short
        self._on_live = on_live
        self._index = IndexBuffer()
        self._tap = tap
        self._clock_ms = clock_ms
        self._max_bytes = max_bytes
        # The tail and the marks have to fit within the limit too.
        self._tail_bytes = min(TAIL_BYTES, max_bytes // 8)
        self._room = max(0, max_bytes - self._tail_bytes - _MARKS_BYTES)
        self._size = 0
        self._lines: dict[Source, Lines] = {}
        self._cut = False
        self._dropped_bytes = 0
        self._dropped_lines = 0
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._midline = False
        self._last_source: Source = "worker"
        self._error: str | None = None
        self._index_torn = False
        self._closed: LogSummary | None = None

    @property
    def path(self) -> Path:
        return Path(self._path)

    @property
    def index_path(self) -> Path:
        return self.path.with_suffix(".idx")

    def feed(self, source: Source, data: bytes) -> None:
        """Take a block of the command's output as it was read."""
        if not data:
            return
        lines = self._lines.get(source) or self._lines.setdefault(source, Lines(source))
        shown, lines.shown = lines.shown, 0
        whole = lines.feed(data)
        if whole:
            self._keep(Chunk(source, self._clock_ms(), whole), shown)
        else:
            lines.shown = shown

    def say(self, text: str, *, error: bool = False) -> None:
        """Add a line of the worker's own; every line of `text` gets the prefix. No secrets in here."""
        prefix = ERROR_PREFIX if error else INFO_PREFIX
        data = b"".join(prefix + line.encode("utf-8", "backslashreplace") + b"\n" for line in text.split("\n"))
        self._keep(Chunk("worker", self._clock_ms(), data), 0)

    def save(self) -> None:
        """Have what was written so far in the file, and from now on whatever comes. Called again: tries what failed."""
        if self._fd < 0:
            self._fd = self._open(self.path)
        if self._fd >= 0 and self._unsaved:
            del self._unsaved[: self._write_all(self._fd, self._unsaved)]

    def go_live(self) -> None:
        """The run lasts: have what it has written in the file, and readers see it. `on_live` is called."""
        self.save()
        if self._on_live:
            self._on_live()

    @property
    def has_open_line(self) -> bool:
        return any(lines.held for lines in self._lines.values())

    def show_open_lines(self) -> None:
        """Pass what is there of unfinished lines on to live readers; the file gets them when they end."""
        if self._tap and not self._cut:
            for source, lines in self._lines.items():
                if piece := lines.unseen():
                    self._tap(Chunk(source, self._clock_ms(), piece))

    def end_output(self) -> None:
        """The command has ended: last lines without a newline get one. What is said later comes after them."""
        for source, lines in self._lines.items():
            shown, lines.shown = lines.shown, 0
            if last := lines.end():
                self._keep(Chunk(source, self._clock_ms(), last), shown)
        self._end_cut()

    def close(self) -> LogSummary:
        """Write what is left. Called twice: the same summary."""
        if self._closed is None:
            self.end_output()
            if self._error:
                self.say(f"the log is not whole: {self._error}", error=True)
            if self._fd < 0 and self._keep_short:
                self.text = bytes(self._unsaved)
            else:
                self.save()
                self._size -= len(self._unsaved)
            if self._index_fd < 0 and self._keep_short:
                self.index = b"" if self._index_torn else self._index.take(last=True)
            else:
                self._write_index(last=True)
            for fd in (self._fd, self._index_fd):
                if fd >= 0:
                    os.close(fd)
            self._closed = LogSummary(self._size, self._dropped_bytes > 0, self._error)
        return self._closed

    def _keep(self, chunk: Chunk, shown: int) -> None:
        if chunk.source == "worker" or (not self._cut and self._size + len(chunk.data) <= self._room):
            self._write(chunk, shown)
        elif self._cut:
            self._drop(chunk)
        else:
            self._cut_here(chunk, shown)

    def _cut_here(self, chunk: Chunk, shown: int) -> None:
        """The chunk that does not fit: whole lines as far as they go, and a part only of a very long line."""
        room = self._room - self._size
        head = chunk.data[: chunk.data.rfind(b"\n", 0, max(0, room)) + 1]
        rest = chunk.data[len(head) :]
        if not head and room > _PART_BYTES:
            head, rest = chunk.data[: room - 1] + b"\n", chunk.data[room - 1 :]
        if head:
            self._write(chunk._replace(data=head), shown)
        self._cut = True
        self._drop(chunk._replace(data=rest))
        self.say(f"log cut after {self._size} bytes: the limit is {self._max_bytes}; what follows is not kept")

    def _drop(self, chunk: Chunk) -> None:
        self._dropped_bytes += len(chunk.data)
        self._dropped_lines += chunk.data.count(b"\n")
        if chunk.source != "stderr":
            return
        self._tail.append(chunk.data[-self._tail_bytes :] if self._tail_bytes else b"")
        self._tail_size += len(self._tail[-1])
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_bytes:
            self._tail_size -= len(self._tail.popleft())

    def _end_cut(self) -> None:
        if not self._cut:
            return
        self._cut = False
        self._room = 0  # a further block would be cut anew
        note = f"{self._dropped_bytes} bytes ({self._dropped_lines} lines) were not kept"
        tail = b"".join(self._tail)
        self._tail.clear()
        if len(tail) > self._tail_bytes:
            tail = tail[-self._tail_bytes :]
        if not tail.startswith(ERROR_PREFIX):
            tail = tail[tail.find(b"\n") + 1 :]
        self.say(note + ("; the last lines of stderr:" if tail else ""))
        if tail:
            self._write(Chunk("stderr", self._clock_ms(), tail), 0)

    def _write(self, chunk: Chunk, shown: int) -> None:
        data, seen = chunk.data, chunk.data[shown:]
        if self._midline and (chunk.source != self._last_source or self._error):
            # A piece of an endless line stands before it, and a prefix belongs at a line start.
            data = b"\n" + data
            seen = seen if shown else data
        # After an error the output has a gap, and no more of it is kept. What the worker says has its place behind it:
        # there may be room again, as soon as the work folder is gone.
        if self._error is None or chunk.source == "worker":
            taken = self._take_text(data, at_once=chunk.source != "worker")
            if taken:
                data = data[:taken]
                self._size += taken
                self._midline = not data.endswith(b"\n")
                self._last_source = chunk.source
                self._index.add(chunk if data is chunk.data else chunk._replace(data=data))
                if self._index.pending_bytes >= _INDEX_BLOCK_BYTES:
                    self._write_index()
        if self._tap and seen:
            self._tap(chunk if seen is chunk.data else chunk._replace(data=seen))

    def _take_text(self, data: bytes, *, at_once: bool) -> int:
        """How many bytes of it are kept. What the command writes is on the disk when this returns, should we die; our
        own lines may wait for it."""
        if self._fd < 0 and not at_once and len(self._unsaved) + len(data) <= _TEXT_BLOCK_BYTES:
            self._unsaved += data
            return len(data)
        self.save()
        return 0 if self._fd < 0 or self._unsaved else self._write_all(self._fd, data)

    def _write_index(self, *, last: bool = False) -> None:
        data = self._index.take(last=last)
        if self._index_torn:
            return  # behind a record that is missing the others would tell lies
        if self._index_fd < 0:
            self._index_fd = self._open(self.index_path)
        self._index_torn = self._index_fd < 0 or self._write_all(self._index_fd, data) < len(data)

    def _open(self, path: Path) -> int:
        """Of a new file; -1 if there can be none, and the error is noted."""
        try:
            return os.open(path, _FILE, 0o600)
        except OSError as error:
            self._fail(error)
            return -1

    def _write_all(self, fd: int, data: bytes | bytearray) -> int:
        """How many bytes could be written; if not all, the error is noted."""
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:] if written else data)
        except OSError as error:
            self._fail(error)
        return written

    def _fail(self, error: OSError) -> None:
        self._error = self._error or error.strerror or type(error).__name__
