"""Line view: the chunks of a log as they come, put together so that a line is never cut by another.

The record of a log has whole lines. Live readers also get the beginning of a line that is still being written; on a
terminal it is shown at once, elsewhere it waits for its end, so that a pipe reads what the record will say.
"""

from __future__ import annotations

from engine.log import ERROR_PREFIX, Chunk, Source


class LineView:
    """`at_once`: show unfinished lines."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._held: dict[Source, bytes] = {}
        # The source whose unfinished line stands at the end of the screen, and those whose line was left unfinished.
        self._open: Source | None = None
        self._broken: set[Source] = set()
        self._unfinished: dict[Source, int] = {}
        self.whole_bytes = 0
        """How much of the log, from its beginning, has come in whole lines: the record has as much, in that order."""

    def feed(self, chunk: Chunk) -> bytes:
        """What to write now; may be nothing."""
        self._count(chunk)
        data = self._held.pop(chunk.source, b"") + chunk.data
        if not self._at_once:
            end = data.rfind(b"\n") + 1
            if end < len(data):
                self._held[chunk.source] = data[end:]
            return data[:end]
        before = b""
        if self._open not in (None, chunk.source):
            before = b"\n"
            self._broken.add(self._open)  # type: ignore[arg-type]
        if chunk.source in self._broken:
            self._broken.discard(chunk.source)
            before += ERROR_PREFIX if chunk.source == "stderr" else b""
        self._open = None if data.endswith(b"\n") else chunk.source
        return before + data

    def end(self) -> bytes:
        """What is left when nothing more comes."""
        left = b"".join(data + b"\n" for data in self._held.values())
        left += b"\n" if self._open else b""
        self._held.clear()
        self._unfinished.clear()
        self._broken.clear()
        self._open = None
        return left

    def _count(self, chunk: Chunk) -> None:
        end = chunk.data.rfind(b"\n") + 1
        before = self._unfinished.pop(chunk.source, 0)
        if end:
            self.whole_bytes += before + end
            before = 0
        if left := before + len(chunk.data) - end:
            self._unfinished[chunk.source] = left
