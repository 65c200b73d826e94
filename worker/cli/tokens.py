"""`penstock tokens`: issue and look at tokens. Needs no store."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli import exit_codes
from worker.cli.moment import Moment, MomentType
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.auth.token_issue import NewToken
    from worker.cli.door import Site
    from worker.config.settings import JwtSettings, Settings

_HOUR_S = 3600.0
_TOKEN_CHARACTERS = 16_384
_KEY_BYTES = 64 * 1024


@click.group("tokens")
def command() -> None:
    """Issue and look at tokens (JWT).

    Tokens are accepted where auth.jwt of the settings says whose. They are made by an identity provider, or here with
    a private key that you keep; the API has none.

    \b
    Examples:
      openssl genpkey -algorithm ed25519 -out token-key.pem
      openssl pkey -in token-key.pem -pubout -out token-key.pub
      penstock tokens issue build-bot --key-file token-key.pem --role operator --for 8h
      penstock tokens show < token.txt
    """


@command.command("issue")
@click.argument("subject")
@click.option(
    "--key-file",
    metavar="FILE",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The private key in PEM.",
)
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="What it may do; may be repeated.")
@click.option("--role", "roles", metavar="ROLE", multiple=True, help="A role whose scopes it has; may be repeated.")
@click.option(
    "--for", "ttl", metavar="DURATION", type=MomentType(after=True), help="How long it is good [default: 1h]."
)
@click.option("--kid", metavar="ID", help="The name of its key [default: of the same key in jwksFile].")
@json_option("the token with its claims")
@click.pass_obj
def issue(
    home: Path,
    subject: str,
    key_file: Path,
    scopes: tuple[str, ...],
    roles: tuple[str, ...],
    ttl: Moment | None,
    kid: str | None,
    as_json: bool,
) -> int:
    """Sign a token for SUBJECT and print it.

    Issuer and audience are those of auth.jwt in the settings. It cannot be revoked before its time, so keep that
    short; for longer, make an API key.

    \b
    Examples:
      penstock tokens issue build-bot --key-file token-key.pem --scope scripts:execute:sign-file --for 15m
    """
    import secrets
    import time

    from worker.auth.token_issue import NewToken
    from worker.cli.verdict import accepted_here
    from worker.config import load_settings
    from worker.model.access import SCOPE

    settings = load_settings(home)
    jwt = accepted_here(settings)
    for scope in scopes:
        if not SCOPE.match(scope):
            raise click.UsageError(f"not a scope such as tasks:read or scripts:execute:sign-file: {scope[:80]!r}")
    if not (0 < len(subject) <= 200 and subject.isprintable()):
        raise click.UsageError("the subject has 1 to 200 printable characters")
    new = NewToken(
        jwt.issuer,
        jwt.audience,
        subject,
        int(time.time()),
        max(1, round(ttl.after_s or 0)) if ttl else int(_HOUR_S),
        secrets.token_hex(8),
        scopes,
        roles,
        kid,
    )
    token = _signed(settings, jwt, new, key_file)
    if as_json:
        from worker.auth.token_proof import header_of, unverified_claims
        from worker.cli.terminal import print_json

        print_json({"token": token, "header": header_of(token), "claims": unverified_claims(token)})
    else:
        click.echo(token)
    return exit_codes.COMPLETED


@command.command("show")
@click.argument("source", metavar="[FILE]", type=click.Path(allow_dash=True), default="-")
@json_option("{header, claims, valid, why, principal}")
@pass_site
def show(site: Site, source: str, as_json: bool) -> int:
    """Decode a token, and say whether it is accepted here, or by the server.

    Reads it from FILE or stdin: what stands on a command line can be seen by other users of the machine. Exit code 0
    when it is good, 77 when it is not, 65 when it is no token.

    \b
    Examples:
      penstock tokens show token.txt
      penstock tokens show --json < token.txt | jq .claims
    """
    from worker.auth.denied import Denied
    from worker.auth.token_proof import header_of, unverified_claims
    from worker.cli.failure import Failure

    try:
        with click.open_file(source, encoding="ascii", errors="replace") as file:
            token = file.read(_TOKEN_CHARACTERS).strip()
    except OSError as error:
        raise Failure(exit_codes.NO_INPUT, f"{source[:200]}: {error.strerror}") from None
    try:
        header, claims = header_of(token), unverified_claims(token)
    except Denied as error:
        raise Failure(exit_codes.DATA, str(error)) from None
    verdict = asyncio.run(site.verdict(token))
    why = verdict.why
    held = {"name": verdict.name, "scopes": list(verdict.scopes)} if why is None else None
    document = {"header": header, "claims": claims, "valid": why is None, "why": why, "principal": held}
    if as_json:
        from worker.cli.terminal import print_json

        print_json(document)
    else:
        _tell(document)
    return exit_codes.COMPLETED if why is None else exit_codes.NOT_ALLOWED


def _signed(settings: Settings, jwt: JwtSettings, new: NewToken, key_file: Path) -> str:
    """With a key whose public half is accepted here: another token would be of no use."""
    from msgspec.structs import replace

    from worker.auth.token_issue import issue, matching, private_key
    from worker.auth.token_keys import KeyFileError
    from worker.cli.failure import Failure
    from worker.daemons.proofs import key_file as accepted

    try:
        with key_file.open("rb") as file:
            key = private_key(file.read(_KEY_BYTES))
    except KeyFileError as error:
        raise Failure(exit_codes.DATA, f"{key_file}: {error}") from None
    except OSError as error:
        raise Failure(exit_codes.NO_INPUT, f"{key_file}: {error.strerror}") from None
    try:
        public = matching(key, accepted(jwt).read())
        if public is None:
            raise KeyFileError(f"its public key is not in {jwt.file}")
        if public.kid and new.kid is None:
            new = replace(new, kid=public.kid)
        algorithms = [one for one in public.algorithms if not jwt.algorithms or one in jwt.algorithms]
        return issue(new, key, algorithms)
    except KeyFileError as error:
        raise Failure(exit_codes.DATA, str(error)) from None


def _tell(document: dict[str, Any]) -> None:
    import json

    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import local_time

    for part in ("header", "claims"):
        click.echo(f"{part}:")
        for name, value in document[part].items():
            is_time = name in ("exp", "nbf", "iat") and isinstance(value, int) and 0 <= value < 10**11
            text = local_time(value * 1000) if is_time else json.dumps(value, ensure_ascii=False)
            click.echo(f"  {printable(name, 100)}: {printable(text, 2000)}")
    if document["valid"]:
        principal = document["principal"]
        click.echo(f"good for {printable(principal['name'])}: {printable(' '.join(principal['scopes']), 4000) or '-'}")
    else:
        notice(document["why"])
    sys.stdout.flush()
