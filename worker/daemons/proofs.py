"""Proofs: what the settings set up besides API keys, for the authenticator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DeclarationError, PenstockError, Problem
from worker.config.settings import BasicSettings, JwtSettings, Settings

if TYPE_CHECKING:
    from worker.auth.basic_proof import BasicProof
    from worker.auth.token_keys import KeyFile
    from worker.auth.token_proof import TokenProof

# A hash is one short line.
_HASH_FILE_BYTES = 1024


def proofs(settings: Settings) -> tuple[TokenProof | None, BasicProof | None]:
    """For tokens and for the bootstrap admin, None where not set up.

    Reads the files that the settings name. Raises DeclarationError with every problem.
    """
    problems: list[Problem] = []
    tokens, basic = None, None
    auth = settings.auth
    if auth.jwt is not None:
        try:
            tokens = token_proof(auth.jwt, settings)
        except PenstockError as error:
            problems.append(settings.problem(f"/auth/jwt/{auth.jwt.member}", str(error)))
    if auth.basic is not None:
        try:
            basic = _basic_proof(auth.basic)
        except (ValueError, OSError) as error:
            what = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            problems.append(settings.problem("/auth/basic/passwordHashFile", what))
    if problems:
        raise DeclarationError(problems)
    return tokens, basic


def check_approval_key(settings: Settings) -> None:
    """Raises DeclarationError for a public key of approvals that cannot be used."""
    path = settings.worker.approval_key_file
    if path is None:
        return
    from worker.auth.token_keys import KeyFile, KeyFileError, pem_keys

    try:
        KeyFile(path, pem_keys).read()
    except KeyFileError as error:
        raise DeclarationError([settings.problem("/worker/approvalKeyFile", str(error))]) from None


def token_proof(jwt: JwtSettings, settings: Settings) -> TokenProof:
    """Raises KeyFileError for a file without keys, or whose keys fit none of the algorithms."""
    from worker.auth.token_keys import KeyFileError
    from worker.auth.token_proof import TokenProof, TokenRules

    keys = key_file(jwt)
    fitting = {name for key in keys.read() for name in key.algorithms}
    if jwt.algorithms and not fitting.intersection(jwt.algorithms):
        raise KeyFileError("none of its keys fits one of the algorithms")
    return TokenProof(TokenRules(jwt.issuer, jwt.audience, jwt.algorithms), keys, settings.auth.roles)


def key_file(jwt: JwtSettings) -> KeyFile:
    """The public keys. Nothing is read yet."""
    from worker.auth.token_keys import KeyFile, jwks_keys, pem_keys

    return KeyFile(jwt.file, jwks_keys if jwt.jwks else pem_keys)


def _basic_proof(basic: BasicSettings) -> BasicProof:
    from worker.auth.basic_proof import BasicProof
    from worker.auth.password import PasswordHash

    with Path(basic.file).open("rb") as file:
        text = file.read(_HASH_FILE_BYTES + 1).decode("ascii", "replace")
    return BasicProof(basic.user, PasswordHash.parse(text))
