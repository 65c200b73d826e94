"""`penstock secrets`: the keys by which secrets are encrypted at rest."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli import exit_codes
from worker.cli.options import json_option

if TYPE_CHECKING:
    from worker.auth.secret_keys import SecretKey, SecretKeys
    from worker.config import Settings
    from worker.daemons.wiring import Store
    from worker.schedules.change import Changing
    from worker.schedules.reseal import SealedPayloads

_T = TypeVar("_T")


@click.group("secrets")
def command() -> None:
    """Check and rotate the keys of secrets at rest.

    Payloads of schedules that hold secrets are kept encrypted. The keys are in secrets.key of the state folder, or in
    the file that secrets.keyFile names.

    \b
    Examples:
      penstock secrets check
      penstock secrets rotate
    """


@command.command("check")
@json_option("{file, keys, clear, unreadable}")
@click.pass_obj
def check(home: Path, as_json: bool) -> int:
    """Tell which keys there are, and what cannot be read with them.

    Shows no key. Exit code 65 when a schedule cannot be read, or holds a secret that is not encrypted.

    \b
    Examples:
      penstock secrets check
      penstock secrets check --json | jq '.keys[] | select(.schedules == 0)'
    """
    from worker.auth.sealed import key_id
    from worker.cli.terminal import print_json, table
    from worker.schedules.reseal import sealed_payloads

    async def read(changing: Changing, opened: _Opened) -> tuple[SecretKeys, tuple[SecretKey, ...], SealedPayloads]:
        keys = _keys(opened)
        return keys, keys.read(), await sealed_payloads(changing, key_id)

    file, keys, found = _asked(home, read)
    used = list(found.keys.values())
    rows: list[dict[str, Any]] = [{"id": key.id, "use": key.use, "schedules": used.count(key.id)} for key in keys]
    there = {key.id for key in keys}
    rows += [{"id": id, "use": "missing", "schedules": used.count(id)} for id in sorted({*used} - there)]
    if as_json:
        document = {"file": str(file.path), "keys": rows, "clear": list(found.clear), "unreadable": found.unreadable}
        print_json(document)
    else:
        click.echo(f"{file.path}: {len(keys)} key{'' if len(keys) == 1 else 's'}")
        if rows:
            click.echo(
                table(["KEY", "USE", "SCHEDULES"], [[str(each) for each in row.values()] for row in rows], sys.stdout)
            )
        for name in found.clear:
            click.echo(f"{name}: holds a secret that is not encrypted: `penstock secrets rotate` encrypts it", err=True)
        for name, why in found.unreadable.items():
            click.echo(f"{name}: {why}", err=True)
    return exit_codes.DATA if found.clear or found.unreadable else exit_codes.COMPLETED


@command.command("rotate")
@click.option("--stage", is_flag=True, help="Only make the next key, so that every host can have it before it is used.")
@click.pass_obj
def rotate(home: Path, stage: bool) -> int:
    """Make a new key and encrypt every secret by it.

    The keys before stay in the file and open what they encrypted. A rotation that was cut short is gone on with, and
    no other key is made. Where several hosts have the file: `--stage`, copy the file to all of them, `rotate`, and
    copy it once more. Exit code 65 when a schedule cannot be read; it stays as it is, and all others are done.

    \b
    Examples:
      penstock secrets rotate
      penstock secrets rotate --stage
    """
    from worker.auth.sealed import key_id
    from worker.schedules.reseal import reseal, sealed_payloads

    async def turn(changing: Changing, opened: _Opened) -> dict[str, str]:
        keys = _keys(opened)
        if stage:
            new = keys.stage()
            await opened.record("secrets.stage", new.id)
            click.echo(f"{new.id} is the next key in {keys.path}")
            return {}
        before = await sealed_payloads(changing, key_id)
        old = {key.id for key in keys.read() if key.use == "old"}
        cut_short = any(id in old for name, id in before.keys.items() if name not in before.unreadable)
        new = keys.make() if cut_short else keys.rotate()
        count = await reseal(changing, new.id, key_id)
        await opened.record("secrets.rotate", new.id)
        how = "goes on to be" if cut_short else "is"
        click.echo(
            f"{new.id} {how} the key in use in {keys.path}; {count} schedule{'' if count == 1 else 's'} encrypted"
        )
        return before.unreadable

    unreadable = _asked(home, turn)
    for name, why in unreadable.items():
        click.echo(f"{name}: {why}", err=True)
    return exit_codes.DATA if unreadable else exit_codes.COMPLETED


class _Opened:
    """The settings and the audit, for one command."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self._store = store

    async def record(self, action: str, name: str) -> None:
        from worker.cli.local import entry, record

        await record(self.settings, self._store, [entry(action, name)])


def _asked(home: Path, call: Callable[[Changing, _Opened], Awaitable[_T]]) -> _T:
    from worker.cli.local_schedules import failures, local_changing

    async def main() -> _T:
        async with local_changing(home) as (deployment, store, changing, _):
            with failures():
                return await call(changing, _Opened(deployment.settings, store))

    return asyncio.run(main())


def _keys(opened: _Opened) -> SecretKeys:
    from worker.auth.secret_keys import SecretKeys

    return SecretKeys(opened.settings.secret_keys)
