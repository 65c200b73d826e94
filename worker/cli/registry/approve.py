"""`penstock scripts approve`: sign a version of a registered script, for the workers that know the public key."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.failure import Failure
from worker.cli.moment import Moment, MomentType
from worker.cli.options import script_argument
from worker.cli.registry.asked import asked
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.registry.registry_door import RegistryDoor
    from worker.model.registration import Registration

_KEY_BYTES = 64 * 1024


@click.command("approve")
@script_argument()
@click.option(
    "--key-file",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The private key (PEM). Its public half is what workers name as worker.approvalKeyFile.",
)
@click.option("--for", "ttl", metavar="DURATION", type=MomentType(after=True), help="It ends after that long.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--print", "shown", is_flag=True, help="Print the approval instead of keeping it in the store.")
@pass_site
def command(site: Site, script: str, key_file: Path, ttl: Moment | None, yes: bool, shown: bool) -> int:
    """Approve the newest version of a registered script.

    Shows what it declares, holds the file here against the SHA-256 that was registered, asks, and signs. The file of a
    server's script is not here: look at it there. Workers whose
    operator named the public key then run this version, as long as the file is what it was. It can also be sent by
    POST /scripts/NAME/approvals.

    \b
    Examples:
      openssl genpkey -algorithm ed25519 -out approve-key.pem
      openssl pkey -in approve-key.pem -pubout -out config/approve-key.pub
      penstock scripts approve rotate-logs --key-file approve-key.pem --for 90d
    """
    from worker.cli.local import local_principal

    async def act(registry: RegistryDoor) -> None:
        found = await registry.to_approve(script)
        if not shown:
            _show(found)
        if not yes and not shown and not click.confirm("Approve this?", err=True):
            raise click.Abort
        text = _signed(found, key_file, local_principal().name, ttl)
        if shown:
            click.echo(text)
            return
        await registry.approve(found, text)
        click.echo(f"approved: {script} version {found.version}")

    asked(site, act)
    return 0


def _show(found: Registration) -> None:
    from engine.log.text import printable

    click.echo(f"{found.name} version {found.version}, by {printable(found.by, 100)}")
    for line in json.dumps({**found.declaration, "sha256": found.sha256}, indent=2, ensure_ascii=False).splitlines():
        click.echo(f"  {printable(line, 4000)}")
    sys.stdout.flush()


def _signed(found: Registration, key_file: Path, by: str, ttl: Moment | None) -> str:
    from worker.auth.approval import Approval, KeyFileError, private_key, sign

    now = int(time.time())
    try:
        with key_file.open("rb") as file:
            key = private_key(file.read(_KEY_BYTES))
        expires = None if ttl is None or ttl.after_s is None else now + int(ttl.after_s)
        return sign(Approval(found.name, found.digest, by, now, expires), key)
    except KeyFileError as error:
        raise Failure(exit_codes.DATA, f"{key_file}: {error}") from None
    except OSError as error:
        raise Failure(exit_codes.NO_INPUT, f"{key_file}: {error.strerror}") from None
