"""Webhooks: who is told of tasks that have ended; read from the settings and from the files that these name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from engine.hiding import Hiding
from worker.config.secret import Secret

# By the specification that the signature follows: https://www.standardwebhooks.com
_PREFIX = "whsec_"
_SECRET_BYTES = 16
_SECRETS = 4


class WebhookSettings(Struct, frozen=True):
    """As declared. `scripts` None: all; `statuses` None: every final one. A file is read when something is sent."""

    name: str
    secret_file: Path
    url: Secret | None = None
    url_file: Path | None = None
    scripts: frozenset[str] | None = None
    statuses: frozenset[str] | None = None
    timeout_s: float = 10.0

    def wants(self, script: str, status: str) -> bool:
        return (self.scripts is None or script in self.scripts) and (self.statuses is None or status in self.statuses)


class Target(Hiding, frozen=True):
    """Where to send, and the secrets of the signature: several while one replaces another."""

    HIDDEN = frozenset({"url", "secrets"})

    url: Secret
    secrets: tuple[bytes, ...]


def read_target(webhook: WebhookSettings) -> Target:
    """Read anew each time, so that a secret is replaced without a restart.

    Raises ValueError, without showing what the files hold; OSError.
    """
    url = webhook.url or Secret((webhook.url_file or Path()).read_text("utf-8").strip())
    check_url(url.value)
    lines = [line.strip() for line in webhook.secret_file.read_text("utf-8").splitlines()]
    secrets = tuple(_secrets(line for line in lines if line))
    if not 1 <= len(secrets) <= _SECRETS:
        raise ValueError(f"the secret's file holds 1 to {_SECRETS} secrets, one in each line")
    return Target(url, secrets)


def check_url(url: str) -> None:
    """Raises ValueError, without showing it: it may hold a password or a token."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ValueError("a webhook's URL begins with https:// or http:// and names a host")


def _secrets(lines: Iterable[str]) -> Iterable[bytes]:
    for line in lines:
        try:
            secret = (
                base64.b64decode(line[len(_PREFIX) :], validate=True) if line.startswith(_PREFIX) else line.encode()
            )
        except binascii.Error:
            raise ValueError(f"a secret that begins with {_PREFIX} goes on in Base64") from None
        if len(secret) < _SECRET_BYTES:
            raise ValueError(f"a secret has {_SECRET_BYTES} bytes at least")
        yield secret
