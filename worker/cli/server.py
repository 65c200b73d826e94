"""Server: the address of a Penstock API and what is shown there to be let in."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from engine.hiding import Hiding
from worker.cli import exit_codes
from worker.cli.failure import Failure

# Visible ASCII: what may stand in a header. Longer than any key, and than any token that a server takes.
_KEY = re.compile(r"[!-~]{1,8192}\Z")
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,255}\Z")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){0,10}\Z")


class Server(Hiding, frozen=True):
    """`url` has no `/` at its end, no user, no query. `key` is an API key or a token; None shows nothing."""

    HIDDEN = frozenset({"key"})

    url: str
    key: str | None = None

    @property
    def encrypted(self) -> bool:
        return self.url.startswith("https:")


def address(text: str, *, insecure: bool) -> str:
    """The URL in one form only. `insecure` admits plain HTTP to other machines.

    Raises Failure (64) for what is no address of a server, without telling a password that may stand in it.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if (
        not host
        or parts.scheme not in ("http", "https")
        or not _HOST.match(host)
        or not _PATH.match(parts.path.rstrip("/"))
    ):
        raise Failure(exit_codes.USAGE, "a server's address is like https://penstock.example or http://127.0.0.1:8765")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise Failure(exit_codes.USAGE, "a server's address has no user, no query and no fragment")
    if parts.scheme == "http" and not insecure and not _loopback(host):
        message = (
            f"http://{host} would send the key readable for everybody on the way: use https, or allow it with "
            "PENSTOCK_INSECURE=1 or `penstock login --insecure`"
        )
        raise Failure(exit_codes.USAGE, message)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port is not None else ''}{parts.path.rstrip('/')}"


def checked_key(text: str, where: str) -> str:
    """Raises Failure (65); never tells the key."""
    if not _KEY.match(text):
        raise Failure(exit_codes.DATA, f"{where} holds no API key: one line of visible ASCII characters")
    return text


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
