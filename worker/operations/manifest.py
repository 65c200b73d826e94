"""Manifest: the scripts that a worker runs, with digests by which two workers can be compared."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from engine.script import Script
from worker.config import Catalog
from worker.model.worker import Admitted
from worker.operations.registered_scripts import RegisteredScripts

# What is larger is known by its size.
_READ_BYTES = 64 * 1024 * 1024


class Manifest:
    """`read` looks at the files again when they have changed. Disabled scripts are refused, and so are not in it."""

    def __init__(self, catalog: Catalog, registered: RegisteredScripts, home: Path, default_queue: str) -> None:
        self._catalog = catalog
        self._registered = registered
        self._home = home
        self._default_queue = default_queue
        self._digests: dict[Path, tuple[tuple[int, ...], str]] = {}

    def read(self) -> tuple[Admitted, ...]:
        """By name. Blocks for as long as it takes to read the files that have changed."""
        found = []
        for prepared in self._catalog:
            script = prepared.script
            if not script.enabled:
                continue
            queue, registered = script.queue or self._default_queue, not self._catalog.declares(script.name)
            if script.file is None and not registered:
                # The product's own: what makes a difference is what the settings let in.
                said = json.dumps([script.command[-1], prepared.schema.document], sort_keys=True)
                found.append(Admitted(script.name, queue, hashlib.sha256(said.encode()).hexdigest()))
                continue
            if not registered:
                found.append(Admitted(script.name, queue, self._digest(script)))
                continue
            standing = self._registered.standing(script.name)
            if standing and standing.verdict.admitted and not standing.removed:
                digest = self._registered.registrations[script.name].digest
                found.append(Admitted(script.name, queue, digest, True))
        return tuple(sorted(found, key=lambda each: each.script))

    def _digest(self, script: Script) -> str:
        """Of the declaration and the files of the deployment that the command names. Where a deployment lies in the
        file system makes no difference.
        """
        words = (script.file or "", *(word for word in script.command if self._ours(word)))
        return hashlib.sha256("".join(self._file_digest(Path(word)) for word in words).encode()).hexdigest()

    def _ours(self, word: str) -> bool:
        return word.startswith(f"{self._home}/")

    def _file_digest(self, path: Path) -> str:
        try:
            is_ = os.stat(path)
            seen = (is_.st_ino, is_.st_size, is_.st_mtime_ns)
            known = self._digests.get(path)
            if known is None or known[0] != seen:
                known = self._digests[path] = (seen, _sha256(path, is_.st_size))
        except OSError:
            return "-" * 64
        return known[1]


def _sha256(path: Path, size: int) -> str:
    if size > _READ_BYTES or not path.is_file():
        return hashlib.sha256(str(size).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
