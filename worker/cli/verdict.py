"""Verdict: whether a token is accepted, by the settings of a deployment or by a server that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from worker.cli.server import Server
    from worker.config.settings import JwtSettings, Settings


class Verdict(Struct, frozen=True):
    """For whom it is good, and what they may do; or why it is not."""

    name: str = ""
    scopes: tuple[str, ...] = ()
    why: str | None = None


def local_verdict(settings: Settings, token: str) -> Verdict:
    """Raises Failure (65) where no tokens are accepted, or their keys cannot be read."""
    from worker.auth.denied import Denied
    from worker.auth.token_keys import KeyFileError
    from worker.cli import exit_codes
    from worker.cli.failure import Failure
    from worker.daemons.proofs import token_proof

    try:
        proof = token_proof(accepted_here(settings), settings)
    except KeyFileError as error:
        raise Failure(exit_codes.DATA, str(error)) from None
    try:
        principal = proof.prove(token)
    except Denied as error:
        return Verdict(why=str(error))
    return Verdict(principal.name, tuple(sorted(principal.scopes)))


async def remote_verdict(server: Server, token: str) -> Verdict:
    """Of the server, which is shown the token in the place of the key: it is meant for that."""
    from msgspec.structs import replace

    from worker.cli import remote_values
    from worker.cli.remote_client import Client, Unproven
    from worker.cli.server import checked_key

    async with Client(replace(server, key=checked_key(token, "the token"))) as client:
        try:
            found = await client.get("/me")
        except Unproven:
            return Verdict(why=f"the server at {server.url} does not accept it")
        name, scopes = client.read(lambda: remote_values.me(found))
        return Verdict(name, scopes)


def accepted_here(settings: Settings) -> JwtSettings:
    """Whose tokens are accepted. Raises Failure (65) when nobody's are."""
    from worker.cli import exit_codes
    from worker.cli.failure import Failure

    if settings.auth.jwt is None:
        raise Failure(exit_codes.DATA, "no tokens are accepted: auth.jwt in config/penstock.yaml is not set up")
    return settings.auth.jwt
