"""Secret keys: the file with the keys by which secrets are encrypted at rest. Encrypts nothing itself.

Each line is a key: what it is for, its id, and 32 random bytes in base64.

    use    encrypts what is written from now on; one line
    next   will take its place at the next rotation; one line at most, so that all hosts can have it before
    old    still opens what was written with it
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from engine.hiding import Hiding
from worker.model.sealing import Unsealable

KEY_BYTES = 32
_LINE = re.compile(r"(use|next|old) ([0-9a-f]{16}) ([A-Za-z0-9+/]{43}=)\Z")
# A thousand rotations.
_FILE_BYTES = 80_000
_HEAD = "# The keys of Penstock's secrets at rest. Keep a copy where the store's is not; nobody else may read it.\n"


class SecretKey(Hiding, frozen=True):
    """`use` is use, next or old. The id follows from the bytes, so that a damaged line is not taken for a key."""

    HIDDEN = frozenset({"secret"})

    use: str
    secret: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(b"penstock secret key\0" + self.secret).hexdigest()[:16]


class SecretKeys:
    """The file at `path`; read again when it is another than it was, so that rotation needs no restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None
        self._keys: tuple[SecretKey, ...] = ()

    def read(self) -> tuple[SecretKey, ...]:
        """All of them, the one in use first; `()` when there is no file. Raises Unsealable for a file that is wrong."""
        try:
            # Neither does a pipe in its place keep us waiting, nor is another file read than was looked at.
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._seen = None
            return ()
        except OSError as error:
            raise Unsealable(f"{self.path} cannot be read: {error.strerror}") from None
        with os.fdopen(file, "rb") as stream:
            is_now = os.fstat(file)
            if not stat.S_ISREG(is_now.st_mode):
                raise Unsealable(f"{self.path} is no file")
            if is_now.st_mode & 0o077:
                mode = stat.S_IMODE(is_now.st_mode)
                raise Unsealable(
                    f"{self.path} is open to others (mode {mode:04o}): chmod 600, and consider its keys known"
                )
            seen = (is_now.st_mtime_ns, is_now.st_ctime_ns, is_now.st_size, is_now.st_ino)
            if seen != self._seen:
                self._seen = None
                self._keys = self._parsed(stream.read(_FILE_BYTES + 1))
                self._seen = seen
        return self._keys

    def make(self) -> SecretKey:
        """The key in use, made when there is no file: of any number of processes one makes it. Raises Unsealable."""
        if not (keys := self.read()):
            with self._locked():
                if not (keys := self.read()):
                    self._write([_fresh("use")])
                    keys = self.read()
        return keys[0]

    def stage(self) -> SecretKey:
        """The next key, made unless there is one. Raises Unsealable."""
        self.make()
        with self._locked():
            keys = self.read()
            if not (found := _of(keys, "next")):
                found = _fresh("next")
                self._write([*keys, found])
        return found

    def rotate(self) -> SecretKey:
        """Use the next key, or a new one; the others become old and still open what they sealed. Raises Unsealable."""
        with self._locked():
            keys = self.read()
            new = _of(keys, "next") or _fresh("next")
            self._write([replace(new, use="use"), *(replace(key, use="old") for key in keys if key.id != new.id)])
        return self.read()[0]

    def _parsed(self, data: bytes) -> tuple[SecretKey, ...]:
        if len(data) > _FILE_BYTES:
            raise Unsealable(f"{self.path} is larger than {_FILE_BYTES} bytes")
        keys: list[SecretKey] = []
        for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _LINE.match(line.rstrip())
            key = _read(found[1], found[3]) if found else None
            if key is None or found is None or key.id != found[2] or any(key.id == other.id for other in keys):
                # What stands there may be a key: it is not repeated.
                raise Unsealable(f"line {number} of {self.path} is no key, or not the one it was: restore the file")
            keys.append(key)
        if sum(key.use == "use" for key in keys) != 1 or sum(key.use == "next" for key in keys) > 1:
            raise Unsealable(f"{self.path} must have one key to use, and one next key at most")
        return tuple(sorted(keys, key=lambda key: key.use != "use"))

    def _write(self, keys: list[SecretKey]) -> None:
        """Whole or not at all, also when the machine stops in the middle."""
        new = self.path.with_name(f".{self.path.name}-{secrets.token_hex(6)}")
        lines = (f"{key.use} {key.id} {base64.b64encode(key.secret).decode()}\n" for key in keys)
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "w") as stream:
                stream.write(_HEAD + "".join(lines))
                stream.flush()
                os.fsync(file)
            os.replace(new, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Unsealable(f"{self.path} cannot be written: {error.strerror}") from None
        finally:
            new.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, which holds the lock for some milliseconds; the system frees it when one is killed."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = self.path.with_name(f".{self.path.name}.lock")
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unsealable(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)


def _fresh(use: str) -> SecretKey:
    return SecretKey(use, secrets.token_bytes(KEY_BYTES))


def _of(keys: tuple[SecretKey, ...], use: str) -> SecretKey | None:
    return next((key for key in keys if key.use == use), None)


def _read(use: str, text: str) -> SecretKey | None:
    try:
        return SecretKey(use, base64.b64decode(text, validate=True))
    except binascii.Error:
        return None
