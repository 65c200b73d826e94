"""Lines: the bytes of one source cut into whole lines, with the prefix that the source has at each line start."""

from __future__ import annotations

from engine.log.record import Source

# The words in the prefixes are part of the interface of a command: people search their logs for them.
ERROR_PREFIX = b"[worker:error] "
INFO_PREFIX = b"[worker:info] "
_PREFIX: dict[Source, bytes] = {"stdout": b"", "stderr": ERROR_PREFIX, "worker": INFO_PREFIX}
# A line without an end is held back until it ends, so that lines of the two streams do not cut each other; one
# longer than this is passed on in pieces.
LINE_BYTES = 8 * 1024 * 1024


class Lines:
    """The open line of one source. `held` is what was not passed on yet, `shown` how much of it live readers saw."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._prefix = _PREFIX[source]
        self._held = bytearray()
        self.shown = 0
        self._midline = False  # a piece of the open line was passed on already

    @property
    def held(self) -> bool:
        return bool(self._held)

    def feed(self, data: bytes) -> bytes:
        """Take a block and return the lines that are whole now, prefixed; b"" when there are none."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return self._spill() if len(self._held) > LINE_BYTES else b""
        whole = data[:end]
        if self._held or self._midline:
            first = whole.index(b"\n") + 1
            head = bytes(self._held) + whole[:first]
            self._held.clear()
            self._midline = False
            whole = head + self._prefixed(whole[first:])
        else:
            whole = self._prefixed(whole)
        if end < len(data):
            self._hold(data[end:])
        return whole

    def unseen(self) -> bytes:
        """What live readers have not seen of the open line. They count as having seen it from now on."""
        piece = bytes(self._held[self.shown :])
        self.shown = len(self._held)
        return piece

    def end(self) -> bytes:
        """The last line, when it has no newline, with one."""
        if not self._held and not self._midline:
            return b""
        self._midline = False
        last = bytes(self._held) + b"\n"
        self._held.clear()
        return last

    def _hold(self, data: bytes) -> None:
        if not self._held and not self._midline:
            self._held += self._prefix
        self._held += data

    def _spill(self) -> bytes:
        piece = bytes(self._held)
        self._held.clear()
        self._midline = True
        return piece

    def _prefixed(self, whole: bytes) -> bytes:
        if not self._prefix or not whole:
            return whole
        return self._prefix + whole[:-1].replace(b"\n", b"\n" + self._prefix) + b"\n"
