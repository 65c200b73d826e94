"""`penstock keys`: the API keys of the deployment."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.moment import Moment, MomentType
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.keyring import MadeKey, SeenKey
    from worker.model.api_key import NewKey

_DAY_S = 24 * 3600.0


@click.group("keys")
def command() -> None:
    """Make, list, rotate and revoke API keys.

    A key is shown when it is made, and never again: the store has only its SHA-256. What it may do is said by scopes
    (`tasks:read`, `scripts:execute:sign-file`) or by a role (reader, operator, admin, or one of auth.roles).

    \b
    Examples:
      penstock keys create ci --scope scripts:execute:sign-file --scope tasks:read --for 90d
      penstock keys create dashboard --role reader
      penstock keys list
      penstock keys rotate k5x2mq7a --overlap 24h
      penstock keys revoke k5x2mq7a
    """


@command.command("create")
@click.argument("name")
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="What it may do; may be repeated.")
@click.option("--role", metavar="ROLE", help="reader, operator, admin, or one of auth.roles.")
@click.option("--for", "ttl", metavar="DURATION", type=MomentType(after=True), help="It ends after that long.")
@json_option("the key with its text")
@pass_site
def create(site: Site, name: str, scopes: tuple[str, ...], role: str | None, ttl: Moment | None, as_json: bool) -> int:
    """Make a key and print it, this once.

    NAME is for people and for the records of what the key did; several keys may share one. Without --for it works
    until it is revoked.

    \b
    Examples:
      penstock keys create ci --scope scripts:execute:sign-file --scope tasks:read --for 90d
      penstock keys create backup --role operator > key.txt
    """
    from worker.model.api_key import NewKey

    try:
        new = NewKey(name, frozenset(scopes), role, ttl.after_s if ttl else None)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    _tell_new(asyncio.run(_create(site, new)), as_json)
    return exit_codes.COMPLETED


@command.command("list")
@click.option("-a", "--all", "every", is_flag=True, help="Also those that are revoked or expired.")
@json_option("{keys}")
@pass_site
def list_keys(site: Site, every: bool, as_json: bool) -> int:
    """List the keys, newest first; never the secret part.

    \b
    Examples:
      penstock keys list
      penstock keys list --all --json | jq -r '.keys[] | select(.state == "revoked").id'
    """
    found = asyncio.run(_list(site))
    shown = [seen for seen in found if every or seen.state == "active"]
    if as_json:
        from worker.cli.document import api_key
        from worker.cli.terminal import print_json

        print_json({"keys": [api_key(seen.key, seen.state) for seen in shown]})
    else:
        _table(shown)
        if len(shown) < len(found):
            from worker.cli.notice import notice

            notice(f"{len(found) - len(shown)} revoked or expired; --all shows them too")
    return exit_codes.COMPLETED


@command.command("revoke")
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@json_option("{keys}, each with its outcome,")
@pass_site
def revoke(site: Site, key_ids: tuple[str, ...], as_json: bool) -> int:
    """End keys, at once.

    From the next call on they are refused. Twice is the same as once. Exit code 66 when an id is unknown; the others
    are revoked all the same. ID is what stands between `penstock_` and the second `_`.

    \b
    Examples:
      penstock keys revoke k5x2mq7a
    """
    done = asyncio.run(_revoke(site, key_ids))
    outcomes = [(id, "revoked" if one else "unknown") for id, one in zip(key_ids, done, strict=True)]
    if as_json:
        from worker.cli.terminal import print_json

        print_json({"keys": [{"id": id, "outcome": outcome} for id, outcome in outcomes]})
    else:
        from engine.log.text import printable

        for id, outcome in outcomes:
            click.echo(f"{printable(id, 100)} {'is unknown' if outcome == 'unknown' else outcome}")
    return exit_codes.COMPLETED if all(done) else exit_codes.NO_INPUT


@command.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", metavar="DURATION", type=MomentType(after=True), help="How long the old one works [default: 1d]."
)
@click.option("--now", "at_once", is_flag=True, help="The old one ends at once.")
@click.option(
    "--for", "ttl", metavar="DURATION", type=MomentType(after=True), help="How long the new one works [as the old]."
)
@json_option("the new key with its text")
@pass_site
def rotate(site: Site, key_id: str, overlap: Moment | None, at_once: bool, ttl: Moment | None, as_json: bool) -> int:
    """Make a key in the place of another, and print it, this once.

    It has the name, the scopes and the role of the old one, which works until the overlap is over: time to tell
    everybody the new one. Exit code 66 for a key that is unknown, revoked, expired or was rotated before.

    \b
    Examples:
      penstock keys rotate k5x2mq7a
      penstock keys rotate k5x2mq7a --overlap 1h --for 90d
    """
    if overlap and at_once:
        raise click.UsageError("--overlap and --now exclude each other")
    overlap_s = 0.0 if at_once else (overlap.after_s or 0.0) if overlap else _DAY_S
    _tell_new(asyncio.run(_rotate(site, key_id, overlap_s, ttl.after_s if ttl else None)), as_json)
    return exit_codes.COMPLETED


@command.command("hash-password")
def hash_password() -> int:
    """Hash a password for auth.basic, and print the hash.

    Asks for the password, or reads it as one line from stdin. The hash belongs into the file that
    auth.basic.passwordHashFile names.

    \b
    Examples:
      penstock keys hash-password > admin-password-hash
    """
    import secrets

    from worker.auth.password import SALT_BYTES
    from worker.auth.password import hash_password as hashed

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().removesuffix("\n")
    try:
        click.echo(str(hashed(password, secrets.token_bytes(SALT_BYTES))))
    except ValueError as error:
        from worker.cli.failure import Failure

        raise Failure(exit_codes.DATA, str(error)) from None
    return exit_codes.COMPLETED


async def _create(site: Site, new: NewKey) -> MadeKey:
    async with site.keys() as keys:
        return await keys.create(new)


async def _list(site: Site) -> tuple[SeenKey, ...]:
    async with site.keys() as keys:
        return await keys.list()


async def _revoke(site: Site, key_ids: tuple[str, ...]) -> list[bool]:
    async with site.keys() as keys:
        return [await keys.revoke(id) for id in key_ids]


async def _rotate(site: Site, key_id: str, overlap_s: float, ttl_s: float | None) -> MadeKey:
    async with site.keys() as keys:
        return await keys.rotate(key_id, overlap_s=overlap_s, ttl_s=ttl_s)


def _tell_new(created: MadeKey, as_json: bool) -> None:
    from worker.cli.document import api_key
    from worker.cli.keyring import about
    from worker.cli.notice import notice
    from worker.cli.terminal import local_time, print_json

    key = created.key
    if as_json:
        print_json({**api_key(key, "active"), "key": created.text})
        return
    click.echo(created.text)
    until = f"works until {local_time(key.expires_at)}" if key.expires_at else "works until it is revoked"
    notice(f"key {key.id} ({about(key)}) {until}; keep it now, nobody can show it again")


def _table(keys: list[SeenKey]) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import local_time, table

    rows = [
        [
            key.id,
            printable(key.name, 40),
            state,
            printable(" ".join([*([f"role {key.role}"] if key.role else []), *sorted(key.scopes)]), 60),
            local_time(key.created_at),
            local_time(key.expires_at),
            local_time(key.last_used_at),
        ]
        for key, state in ((seen.key, seen.state) for seen in keys)
    ]
    head = ["ID", "NAME", "STATE", "MAY", "CREATED", "EXPIRES", "LAST USED"]
    click.echo(table(head, rows, sys.stdout), color=True)
