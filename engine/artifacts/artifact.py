"""Artifact: one stored file of a run, what may be wrong with one, and who stores it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct


class Artifact(Struct, frozen=True):
    """A stored file. `name` is relative to the artifacts folder, with "/" ("public/report.html").

    `size` (bytes) and `sha256` (hex) are of what was handed to the store. `content_type` is a guess by the
    name's extension alone. `public`: it stood below `public/`.
    """

    name: str
    size: int
    sha256: str
    content_type: str
    public: bool


class ArtifactProblem(Struct, frozen=True):
    """An entry that was not stored. `name` is escaped: one printable line, whatever the command called it.

    A `name` that ends with "/" is a folder; "artifacts/" is the artifacts folder itself. `lost`: the store, the disk or
    the host could not do it, and what the command left is not to blame.
    """

    name: str
    message: str
    lost: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"


class Collected(Struct, frozen=True):
    """Both in the order of names, what concerns the whole folder last. Any problem makes the run fail."""

    artifacts: tuple[Artifact, ...] = ()
    problems: tuple[ArtifactProblem, ...] = ()


class ArtifactStore(Protocol):
    """Where the artifacts of one run go."""

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Stores the bytes verbatim under the name. The chunks can be read once only.

        Raises OSError when it cannot, and lets through what `chunks` raises; then nothing is visible under
        the name that was not before. Called again for a name: the later content replaces the earlier.
        """


class Discard:
    """A store that reads everything and keeps nothing: sizes and digests without the files."""

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        deque(chunks, maxlen=0)
