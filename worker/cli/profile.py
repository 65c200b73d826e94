"""Profile: the server that `penstock login` has kept for this user, in a file that nobody else can read."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from worker.cli import exit_codes
from worker.cli.failure import Failure
from worker.cli.server import Server, address, checked_key

_MOST_BYTES = 64 * 1024


def profile_path() -> Path:
    """Below XDG_CONFIG_HOME, which counts when it is absolute, as its specification says."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(configured) if configured.startswith("/") else Path(os.path.expanduser("~")) / ".config"
    return folder / "penstock" / "profile.json"


def read_profile() -> Server | None:
    """None when there is none. Raises Failure (65) for one that others can read or that is not ours."""
    path = profile_path()
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
                message = f"{path} has to be a file of yours that nobody else can read: chmod 600 it"
                raise Failure(exit_codes.DATA, message)
            data = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(exit_codes.DATA, f"{path} cannot be read: {error.strerror}") from None
    try:
        found = json.loads(data)
        url, key, insecure = found["server"], found["apiKey"], found.get("insecure", False)
        if not isinstance(url, str) or not isinstance(key, str) or not isinstance(insecure, bool):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Failure(exit_codes.DATA, f"{path} is not what `penstock login` writes: log in again") from None
    return Server(address(url, insecure=insecure), checked_key(key, str(path)))


def write_profile(server: Server, *, insecure: bool) -> Path:
    """At once or not at all, mode 0600 from the beginning. Raises Failure (73)."""
    path = profile_path()
    content: dict[str, object] = {"server": server.url, "apiKey": server.key}
    if insecure:
        content["insecure"] = True
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, new = tempfile.mkstemp(prefix=".profile-", dir=path.parent)  # 0600
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
            os.replace(new, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(new)
            raise
    except OSError as error:
        raise Failure(exit_codes.CANNOT_CREATE, f"{path} cannot be written: {error.strerror}") from None
    return path


def remove_profile() -> bool:
    """Whether there was one. Raises Failure (73)."""
    path = profile_path()
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Failure(exit_codes.CANNOT_CREATE, f"{path} cannot be removed: {error.strerror}") from None
    return True
