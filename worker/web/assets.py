"""Assets: the files of the page as they are sent. All that there is is known beforehand: no path is ever looked up."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from worker.web.bundle import script_of, style_of

STATIC = Path(__file__).parent / "static"
SHELL = "index.html"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# What a visit asks for. The modules are there by themselves, too, for who looks for a mistake.
SCRIPT, STYLE = "page.js", "page.css"
_SCRIPTS, _STYLES = "scripts/", "styles/"
# Runs by itself, before the page is drawn.
_THEME = "scripts/theme.js"
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
    """Read the files of the page, and make those that a visit asks for.

    Raises OSError when they are not there, KeyError for a kind that is not served, Unbundled.
    """
    files = {
        path.relative_to(folder).as_posix(): Asset(path.read_bytes(), _TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
    script, style = script_of(_texts(files, _SCRIPTS, "")), style_of(_texts(files, _STYLES, ".css"))
    files[SCRIPT] = Asset(script.encode(), _TYPES[".js"])
    files[STYLE] = Asset(style.encode(), _TYPES[".css"])
    whole = hashlib.sha256("\n".join(f"{name} {asset.tag}" for name, asset in files.items()).encode()).hexdigest()
    base = f"/assets/{whole[:_HASH_CHARACTERS]}"
    shell = files.pop(SHELL)
    filled = Asset(shell.content.replace(_PLACE, base.encode()), shell.type)
    return Assets(filled, base, MappingProxyType(files))


def _texts(files: Mapping[str, Asset], below: str, suffix: str) -> dict[str, str]:
    return {
        name.removeprefix(below).removesuffix(suffix): asset.content.decode()
        for name, asset in files.items()
        if name.startswith(below) and name != _THEME
    }
