"""Registration: a script that was registered through the API, in one of its versions. What it may run is not said here.

The approval of a version is of its digest: over the name and everything that it declares, the SHA-256 of its file
included, but not over whether it is enabled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from engine.hiding import Hiding

BODY_KINDS = {"bash": "shell", "python": "python", "node": "node", "browser": "browser"}


class Registration(Hiding, frozen=True):
    """One version. `declaration` is camelCase JSON, `at` milliseconds by the store's clock, `by` who made it.

    `removed`: it was deleted with this version, which otherwise says what the last one said. `approvals` are signed
    texts, verified by nobody yet.
    """

    HIDDEN = frozenset({"declaration", "approvals"})

    name: str
    version: int
    declaration: Mapping[str, Any]
    at: int = 0
    by: str = ""
    removed: bool = False
    approvals: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return declaration_digest(self.name, self.declaration)

    @property
    def enabled(self) -> bool:
        return self.declaration.get("enabled") is not False and not self.removed

    @property
    def path(self) -> str | None:
        """Relative to the deployment; None for a body."""
        return self.declaration.get("path")

    @property
    def sha256(self) -> str:
        """Of the body, or of the file when it was registered; in hex."""
        body = self.declaration.get("body")
        if isinstance(body, str):
            return hashlib.sha256(body.encode()).hexdigest()
        return str(self.declaration.get("sha256", ""))

    @property
    def in_browser(self) -> bool:
        return self.declaration.get("type") == "browser"


class Admission(Struct, frozen=True):
    """What a worker says of one version: whether it runs it, and by what, or why not."""

    worker: str
    version: int
    admits: bool
    why: str


def declaration_digest(name: str, declaration: Mapping[str, Any]) -> str:
    """SHA-256, in hex."""
    said = {key: value for key, value in declaration.items() if key != "enabled"}
    text = json.dumps({"declaration": said, "name": name}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
