#!/usr/bin/env python3
"""Sign one file below an allowed folder with Ed25519 and write a SHA-256 manifest beside the signature.

stdin: the payload. Environment: SIGN_ROOT and SIGN_KEY, relative to the deployment folder; SIGN_MAX_BYTES.
The signature is over the file's bytes, raw, so that any Ed25519 tool verifies it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import signal
import stat
import sys
import traceback
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FAILED, MALFORMED, INTERNAL, FATAL = 1, 2, 3, 4
HOME = Path(__file__).resolve().parent.parent
DIGESTS = ("sha256", "sha512", "sha3-256", "blake2b")
# What opening says of a path that is missing or not ours to serve; any other error is our own trouble.
NOT_SERVED = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "goes through something that is not a folder, or through a link",
    errno.ELOOP: "is a symbolic link",
    errno.ENXIO: "is not a regular file",
    errno.EACCES: "is not readable",
    errno.ENAMETOOLONG: "is too long",
}
# Characters that could rewrite a log line or mislead its reader: controls, line ends, bidi, surrogates.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MAX_KEY_BYTES = 16 * 1024


class Stop(Exception):
    """The end of this run, with the exit code that says whose fault it is."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def main() -> None:
    payload = read_payload()
    name = payload["file"]
    signed = open_below(HOME / os.environ.get("SIGN_ROOT", "."), name)
    key_path = HOME / os.environ.get("SIGN_KEY", ".penstock/keys/sign-file.ed25519")
    refuse_served_key(key_path)
    content = read_whole(signed, name, int(os.environ.get("SIGN_MAX_BYTES", 64 * 1024 * 1024)))
    digests = {digest: hash_of(digest, content) for digest in ("sha256", *payload.get("digests", ()))}
    say(f"read {name!a}: {len(content)} bytes, sha256 {digests['sha256']}")
    expected = payload.get("sha256")
    if expected is not None and expected != digests["sha256"]:
        raise Stop(FAILED, f"not signed: the file's SHA-256 is not the expected {expected}")
    dry_run = os.environ.get("DRY_RUN") == "true"
    key = usable_key(key_path, signed, make=not dry_run)
    if dry_run:
        say(f"dry run: would sign with {'the key' if key else 'a new key'} at {key_path}; nothing is written")
        return
    if key is None:
        raise Stop(FATAL, f"the key {key_path} vanished")
    publish(key, name, content, digests)


def read_payload() -> dict[str, Any]:
    try:
        payload = json.load(sys.stdin.buffer)
    except (ValueError, RecursionError) as error:
        raise Stop(MALFORMED, f"the payload is not JSON: {error}") from None
    if not isinstance(payload, dict) or not isinstance(payload.get("file"), str):
        raise Stop(MALFORMED, "the payload has to be an object with a string at /file")
    digests = payload.get("digests", [])
    if not isinstance(digests, list) or any(digest not in DIGESTS for digest in digests):
        raise Stop(MALFORMED, f"/digests has to be a list of {', '.join(DIGESTS)}")
    return payload


def open_below(root: Path, name: str) -> int:
    """A descriptor of the regular file `name` below `root`. No link is followed at any component, so nothing
    that is swapped meanwhile leads out; hidden names (keys, state, version control) are never served."""
    parts = name.split("/")
    if any(part == "" or part.startswith(".") for part in parts):
        raise Stop(MALFORMED, f"{name!a} is refused: not relative, or a part starts with a dot")
    if UNSAFE.search(name) or len(parts[-1].encode()) > 240:
        raise Stop(MALFORMED, f"{name!a} is refused: control characters, or a file name over 240 bytes")
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Stop(INTERNAL, f"the allowed folder {root} cannot be opened: {error.strerror}") from None
    try:
        for part in parts[:-1]:
            outer = folder
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=outer)
            os.close(outer)
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno not in NOT_SERVED:
            raise
        raise Stop(MALFORMED, f"{name!a} is refused: it {NOT_SERVED[error.errno]}") from None
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise Stop(MALFORMED, f"{name!a} is refused: it is not a regular file")
    return file


def read_whole(file: int, name: str, max_bytes: int) -> bytes:
    """The bytes of one moment: a file that changes while it is read is not signed."""
    before = os.fstat(file)
    if before.st_size > max_bytes:
        raise Stop(MALFORMED, f"{name!a} is refused: {before.st_size} bytes, at most {max_bytes} are signed")
    with os.fdopen(os.dup(file), "rb") as stream:
        content = stream.read(before.st_size + 1)
    after = os.fstat(file)
    if len(content) != before.st_size or (after.st_mtime_ns, after.st_size) != (
        before.st_mtime_ns,
        before.st_size,
    ):
        raise Stop(FAILED, f"{name!a} changed while it was read; nothing is signed")
    return content


def hash_of(digest: str, content: bytes) -> str:
    return hashlib.new(digest.replace("-", "_"), content).hexdigest()


def refuse_served_key(key_path: Path) -> None:
    """No payload may be able to name the key: it is outside the allowed folder or below a hidden name."""
    root = Path(os.path.realpath(HOME / os.environ.get("SIGN_ROOT", ".")))
    key = Path(os.path.realpath(key_path))
    if key.is_relative_to(root) and not any(part.startswith(".") for part in key.relative_to(root).parts):
        raise Stop(FATAL, f"the key {key_path} lies among the files that are served; set SIGN_KEY")


def usable_key(path: Path, signed: int, *, make: bool) -> Ed25519PrivateKey | None:
    """The key at `path`, made at first use where `make` says so; None when there is none and none is made."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        if make and not path.exists():
            make_key(path)
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Stop(FATAL, f"the key {path} cannot be opened or made: {error.strerror}") from None
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or about.st_uid not in (os.geteuid(), 0) or about.st_mode & 0o077:
            raise Stop(FATAL, f"the key {path} has to be a file of this user that nobody else can read")
        if os.path.sameopenfile(file, signed):
            raise Stop(MALFORMED, "the file is refused: it is the key")
        pem = os.read(file, MAX_KEY_BYTES)
    finally:
        os.close(file)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Stop(FATAL, f"the key {path} is not an unencrypted Ed25519 private key in PEM")
    return key


def make_key(path: Path) -> None:
    """Make the key, or leave the one of whoever was first: `link` refuses an existing name, and what it gives
    a name to is already complete, so nobody ever reads half a key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # A stop between the two names would leave a second copy of the key behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        write_new(draft, pem)
        try:
            os.link(draft, path)
            say(f"made a new signing key at {path}")
        except FileExistsError:
            say("another run has just made the signing key; it is used")
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def publish(key: Ed25519PrivateKey, name: str, content: bytes, digests: dict[str, str]) -> None:
    """Write the three public artifacts; one rename shows them all, once the signature is verified."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = key.sign(content)
    base = name.rsplit("/", 1)[-1]
    manifest = {
        "file": name,
        "size": len(content),
        "sha256": digests["sha256"],
        "digests": digests,
        "algorithm": "Ed25519",
        "signature": b64encode(signature).decode(),
        "signatureFile": f"{base}.sig",
        "publicKey": b64encode(raw).decode(),
        "keyId": hashlib.sha256(raw).hexdigest()[:16],
        "taskId": os.environ.get("TASK_ID"),
        "runId": os.environ.get("RUN_ID"),
        "signedAt": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    draft = Path("public.partial")
    draft.mkdir()
    write_new(draft / f"{base}.sig", signature)
    write_new(draft / "manifest.json", json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n")
    write_new(draft / "public-key.pem", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    say(f"signed with key {manifest['keyId']}")
    verify(draft, base, content)
    draft.rename("artifacts/public")
    say(f"wrote {f'public/{base}.sig'!a}, public/manifest.json and public/public-key.pem")


def verify(folder: Path, base: str, content: bytes) -> None:
    """Do what a receiver does, from the files that a receiver gets."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = load_pem_public_key((folder / "public-key.pem").read_bytes())
    try:
        if not isinstance(public, Ed25519PublicKey):
            raise Stop(INTERNAL, "the public key that was written is not an Ed25519 key")
        public.verify((folder / f"{base}.sig").read_bytes(), content)
    except InvalidSignature:
        raise Stop(INTERNAL, "the signature that was written does not verify; nothing is published") from None
    say("verified the signature")


def write_new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.code)
    except Exception:  # noqa: BLE001 - Python's own exit code for a traceback is 1, which would blame the task
        traceback.print_exc()
        sys.exit(INTERNAL)
