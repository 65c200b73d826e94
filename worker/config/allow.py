"""Allow: config/allow.yaml, which registered scripts a worker runs. An operator's file that nothing of ours writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from engine.errors import DeclarationError
from engine.schema import Schema
from engine.script.document import read_document

FILE = Path("config") / "allow.yaml"
ALLOW_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Penstock allow-list",
    "description": "config/allow.yaml: the registered scripts that workers of this deployment run.",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "scripts": {
            "type": "array",
            "maxItems": 10_000,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "anyOf": [{"required": ["path"]}, {"required": ["sha256"]}],
                "properties": {
                    "name": {"type": "string", "description": "The script's name."},
                    "path": {
                        "type": "string",
                        "minLength": 1,
                        "description": "Its file, relative to the deployment. Without it: an inline body.",
                    },
                    "sha256": {
                        "type": "string",
                        "pattern": "^[0-9a-f]{64}$",
                        "description": "Of the file or body. Without it the file may have any content.",
                    },
                },
            },
        },
    },
}


class Allowed(Struct, frozen=True):
    """One entry. `path` None: an inline body, and then there is a `sha256`."""

    name: str
    path: str | None = None
    sha256: str | None = None


class AllowList:
    """The entries of a deployment; read again when the file is another than it was."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._seen: tuple[int, ...] | None = None
        self._entries: tuple[Allowed, ...] = ()

    def changed(self) -> bool:
        """Whether `read` would look at the file."""
        return self._look() != self._seen

    def read(self) -> tuple[Allowed, ...]:
        """() without a file. Raises DeclarationError; one that has become wrong allows nothing."""
        seen = self._look()
        if seen != self._seen:
            self._entries, self._seen = (), seen
            self._entries = _entries(self._path) if seen else ()
        return self._entries

    def _look(self) -> tuple[int, ...]:
        try:
            is_now = os.stat(self._path)
        except FileNotFoundError:
            return ()
        except OSError:
            return (-1,)
        return is_now.st_mtime_ns, is_now.st_size, is_now.st_ino


def _entries(path: Path) -> tuple[Allowed, ...]:
    document = read_document(path)
    problems = Schema.compile(ALLOW_SCHEMA, owner="allow-list").check(document.value)
    if problems:
        raise DeclarationError(document.problem(problem.pointer, problem.message) for problem in problems)
    return tuple(Allowed(e["name"], e.get("path"), e.get("sha256")) for e in document.value.get("scripts", ()))
