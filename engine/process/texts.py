"""Texts: argv and environment as one block of bytes each, the way to a supervisor; encoded and checked once."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # a supervisor reads this file, too: `typing` would take a megabyte there
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def words(argv: Iterable[str]) -> bytes:
    """Raises ValueError for what execve would cut or cannot be given."""
    block = _block(list(argv))
    if not block or block[0] == 0:
        raise ValueError("no program is named")
    return block


def variables(env: Mapping[str, str]) -> bytes:
    """`name=value` each. Raises ValueError for what execve would cut, or the command would read as another name."""
    if "" in env or "=" in "".join(env):
        raise ValueError("illegal environment variable name")
    return _block([f"{name}={value}" for name, value in env.items()])


def split(block: bytes) -> list[bytes]:
    """What was put into a block, word by word."""
    return block.split(b"\0") if block else []


def _block(texts: list[str]) -> bytes:
    block = "\0".join(texts)
    if block.count("\0") != max(0, len(texts) - 1):
        raise ValueError("embedded null byte")
    return os.fsencode(block)
