"""Account file: the URL of a server with the name and the password of one account, as `broker.urlFile` wants it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from worker.cli import exit_codes
from worker.cli.failure import Failure

_MODE = 0o600
_BYTES = 64 * 1024
_PASSWORD_BYTES = 32


def password_of(path: Path, name: str, server: str | None) -> str:
    """The password in the file; without one it is made, mode 0600, with a new password of 256 random bits, for the
    account at `server`. Raises Failure for a file that holds another account, or that others can read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return _made(path, name, server)
    except OSError as error:
        raise Failure(exit_codes.NO_INPUT, f"{path}: {error.strerror}") from None
    with open(fd, "rb") as file:
        mode = os.fstat(fd).st_mode
        text = file.read(_BYTES).decode("ascii", "replace").strip()
    if mode & 0o077:
        raise Failure(exit_codes.DATA, f"{path}: others can read it; it has to have the mode 0600")
    try:
        parts = urlsplit(text)
        found, password = parts.username, parts.password
    except ValueError:
        found = password = None
    if not password:
        raise Failure(exit_codes.DATA, f"{path}: not a URL with a name and a password")
    if found != name:
        raise Failure(exit_codes.DATA, f"{path}: it is of another account than {name}")
    return password


def _made(path: Path, name: str, server: str | None) -> str:
    if server is None:
        raise Failure(exit_codes.NO_INPUT, f"{path}: not there yet; it is made when --server says for which server")
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("redis", "rediss", "amqp", "amqps") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise Failure(exit_codes.USAGE, "--server: a URL such as rediss://queue.internal:6379/0, without an account")
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    url = urlunsplit((parts.scheme, f"{name}:{password}@{parts.netloc}", parts.path, parts.query, ""))
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{url}\n")
    except (OSError, UnicodeEncodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "the server's URL has to be ASCII"
        raise Failure(exit_codes.CANNOT_CREATE, f"{path}: {why}") from None
    return password
