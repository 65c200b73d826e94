"""Makeshift access: one key of the deployment, until there are keys."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from worker.api.problem import ApiError
from worker.model.access import Principal


class FirstKey:
    def __init__(self, state_dir: Path) -> None:
        path = state_dir / "api-key"
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            self._key = path.read_text().strip()
        else:
            self._key = secrets.token_urlsafe(32)
            with os.fdopen(fd, "w") as file:
                file.write(self._key + "\n")

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._key.encode()):
            raise ApiError(401, "unauthorized", "that needs a key", headers={"WWW-Authenticate": "Bearer"})
        return Principal("first", "key", frozenset({"*"}), "first")
