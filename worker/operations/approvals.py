"""Approvals: which of the signed texts beside a registration were signed by the key that this worker trusts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog
from msgspec import Struct

_logger = structlog.get_logger("penstock.worker")
_KEY_BYTES = 64 * 1024
_CHECK_S = 30.0
_KEPT = 10_000


class Approved(Struct, frozen=True):
    """A verified approval. `expires` in seconds since the epoch, None for never."""

    script: str
    digest: str
    by: str
    expires: int | None = None


class Approvals:
    """Of one public key, which is read again when its file is another than it was. Without a file nothing is approved.

    Each text is verified once, in a child process.
    """

    def __init__(self, key_file: Path | None) -> None:
        self._key_file = key_file
        self._seen: tuple[int, ...] | None = None
        self._known: dict[str, Approved | None] = {}

    def changed(self) -> bool:
        """Whether the key is another than it was when `of` was last called."""
        return self._look() != self._seen

    async def of(self, texts: Iterable[str]) -> dict[str, Approved | None]:
        """By text what was signed, None for what was not by that key. A key that cannot be read approves nothing."""
        seen = self._look()
        if seen != self._seen:
            self._known.clear()
            self._seen = seen
        wanted = set(texts)
        new = sorted(wanted - self._known.keys())
        if new and seen:
            if len(self._known) > _KEPT:
                self._known.clear()
            found = await self._verify(new)
            if found is None:
                self._seen = None  # looked at again next time
                return {}
            self._known.update(found)
        return {text: self._known.get(text) for text in wanted}

    async def _verify(self, texts: list[str]) -> dict[str, Approved | None] | None:
        assert self._key_file
        try:
            with open(self._key_file, "rb") as file:  # noqa: ASYNC230 - one small file, when it has changed
                key = file.read(_KEY_BYTES).decode("ascii", "replace")
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "worker.auth.approval_check"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONPATH": _ROOT},
            )
            asked = json.dumps({"key": key, "approvals": texts}).encode()
            try:
                out, _ = await asyncio.wait_for(child.communicate(asked), _CHECK_S)
            except BaseException:
                if child.returncode is None:
                    child.kill()
                raise
            answer = json.loads(out)
        except (OSError, ValueError, TimeoutError) as error:
            _logger.error("approvals cannot be verified; nothing is approved", error=str(error) or type(error).__name__)
            return None
        if isinstance(answer, dict):
            _logger.error("approvals cannot be verified; nothing is approved", error=answer["error"])
            return dict.fromkeys(texts)
        return {text: _approved(each) for text, each in zip(texts, answer, strict=True)}

    def _look(self) -> tuple[int, ...]:
        try:
            is_now = os.stat(self._key_file) if self._key_file else None
        except OSError:
            return (-1,)
        return () if is_now is None else (is_now.st_mtime_ns, is_now.st_size, is_now.st_ino)


def _approved(each: dict[str, object] | None) -> Approved | None:
    if each is None:
        return None
    expires = each["expires"]
    return Approved(
        str(each["script"]), str(each["digest"]), str(each["by"]), expires if isinstance(expires, int) else None
    )


_ROOT = str(Path(__file__).resolve().parents[2])
