"""Assets: the files of the page as they are sent. All that there is is known beforehand: no path is ever looked up."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

STATIC = Path(__file__).parent / "static"
SHELL = "index.html"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Where the shell says where its files are.
_PLACE = b"{assets}"
_HASH_CHARACTERS = 16


@dataclass(frozen=True)
class Asset:
    """One file. `tag` names its content."""

    content: bytes
    type: str

    @cached_property
    def tag(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:_HASH_CHARACTERS]

    @cached_property
    def packed(self) -> bytes:
        return gzip.compress(self.content, 9, mtime=0)


@dataclass(frozen=True)
class Assets:
    """`files` by their paths below `base`, which changes with any of them: they import each other by relative paths."""

    shell: Asset
    base: str
    files: Mapping[str, Asset] = field(default_factory=lambda: MappingProxyType({}))


def load_assets(folder: Path = STATIC) -> Assets:
    """Read the files of the page. Raises OSError when they are not there, KeyError for a kind that is not served."""
    files = {
        path.relative_to(folder).as_posix(): Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    whole = hashlib.sha256("\n".join(f"{name} {asset.tag}" for name, asset in files.items()).encode()).hexdigest()
    base = f"/assets/{whole[:_HASH_CHARACTERS]}"
    shell = files.pop(SHELL)
    filled = Asset(shell.content.replace(_PLACE, base.encode()), shell.type)
    return Assets(filled, base, MappingProxyType(files))
