"""`penstock dead-letters`: messages that no task could be made of."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option

if TYPE_CHECKING:
    from worker.config import Settings
    from worker.daemons.wiring import Store
    from worker.model.dead_letter import DeadLetter, DeadLetterPage


@click.group("dead-letters")
def command() -> None:
    """List, show, replay or drop unreadable messages.

    What lies in a queue and cannot become a task is kept here as it came, with the reason, and the worker goes on.

    \b
    Examples:
      penstock dead-letters list
      penstock dead-letters show 1f6a... --raw | less
      penstock dead-letters replay 1f6a...
      penstock dead-letters drop --all
    """


@command.command("list")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=50, help="At most so many [default: 50].")
@click.option("--before", metavar="CURSOR", help="Go on after a page: its `next`.")
@json_option("{letters, total, size, dropped, next}")
@click.pass_obj
def list_letters(home: Path, limit: int, before: str | None, as_json: bool) -> int:
    """List them, newest first.

    The same message in the same queue is one letter, however often it came.

    \b
    Examples:
      penstock dead-letters list
      penstock dead-letters list --json | jq -r '.letters[].id'
    """
    page = asyncio.run(_page(home, limit, before))
    if as_json:
        from worker.cli.document import dead_letter
        from worker.cli.terminal import print_json

        letters = [dead_letter(letter) for letter in page.letters]
        print_json(
            {"letters": letters, "total": page.total, "size": page.size, "dropped": page.dropped, "next": page.next}
        )
    else:
        _list(page)
    return exit_codes.COMPLETED


@command.command("show")
@click.argument("letter_id", metavar="ID")
@click.option("--raw", is_flag=True, help="Only the message, byte for byte.")
@json_option("the letter, without its bytes but the first,")
@click.pass_obj
def show(home: Path, letter_id: str, raw: bool, as_json: bool) -> int:
    """Show one: where it came from, why it is here, and how it begins.

    \b
    Examples:
      penstock dead-letters show 1f6a...
      penstock dead-letters show 1f6a... --raw > message.bin
    """
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other")
    letter, message = asyncio.run(_letter(home, letter_id))
    if raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()
    elif as_json:
        from worker.cli.document import dead_letter
        from worker.cli.terminal import print_json

        print_json(dead_letter(letter))
    else:
        _show(letter)
    return exit_codes.COMPLETED


@command.command("replay")
@click.argument("letter_ids", metavar="ID...", nargs=-1, required=True)
@json_option("{letters, count}, each with its outcome,")
@click.pass_obj
def replay(home: Path, letter_ids: tuple[str, ...], as_json: bool) -> int:
    """Put them back into their queues, as they came.

    For instance when the script that they name is declared now. What still cannot be read comes back here. Exit code
    66 when an id is unknown; the others are replayed all the same.

    \b
    Examples:
      penstock dead-letters replay 1f6a...
      penstock dead-letters list --json | jq -r '.letters[].id' | xargs penstock dead-letters replay
    """
    return _each(letter_ids, asyncio.run(_replay(home, letter_ids)), "replayed", as_json)


@command.command("drop")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that there are.")
@json_option("{letters, count}, each with its outcome,")
@click.pass_obj
def drop(home: Path, letter_ids: tuple[str, ...], every: bool, as_json: bool) -> int:
    """Forget them.

    Exit code 66 when an id is unknown; the others are dropped all the same.

    \b
    Examples:
      penstock dead-letters drop 1f6a...
      penstock dead-letters drop --all
    """
    if every == bool(letter_ids):
        raise click.UsageError("name letters, or give --all")
    if every:
        count = asyncio.run(_drop_all(home))
        if as_json:
            _print_done([], count)
        else:
            click.echo(f"{count} dropped")
        return exit_codes.COMPLETED
    return _each(letter_ids, asyncio.run(_drop(home, letter_ids)), "dropped", as_json)


async def _page(home: Path, limit: int, before: str | None) -> DeadLetterPage:
    from worker.cli.deployment import opened
    from worker.config import load_settings
    from worker.store.dead_letters import DeadLetters

    async with opened(load_settings(home)) as store:
        return await DeadLetters(store.redis).list(limit, before)


async def _letter(home: Path, letter_id: str) -> tuple[DeadLetter, bytes]:
    from worker.cli.deployment import opened
    from worker.cli.failure import Failure
    from worker.config import load_settings
    from worker.store import InvalidName
    from worker.store.dead_letters import DeadLetters

    async with opened(load_settings(home)) as store:
        try:
            found = await DeadLetters(store.redis).get(letter_id)
        except InvalidName:
            found = None
    if found is None:
        raise Failure(exit_codes.NO_INPUT, f"no dead letter {letter_id[:100]!r}")
    return found


async def _replay(home: Path, letter_ids: tuple[str, ...]) -> list[bool]:
    from worker.broker import BrokerAway
    from worker.cli.deployment import opened
    from worker.cli.failure import Failure
    from worker.daemons.replaying import republisher
    from worker.daemons.wiring import open_deployment
    from worker.operations.dead_letters import replay
    from worker.store import InvalidName
    from worker.store.dead_letters import DeadLetters

    deployment = open_deployment(home)
    done: list[bool] = []
    async with opened(deployment.settings) as store, _audited(deployment.settings, store, "replay", letter_ids, done):
        letters, back = DeadLetters(store.redis), republisher(deployment, store)
        for letter_id in letter_ids:
            try:
                done.append(await replay(letters, back, letter_id))
            except InvalidName:
                done.append(False)
            except BrokerAway:
                # The error's text may hold the URL with its password.
                raise Failure(exit_codes.UNAVAILABLE, "the broker cannot be reached; the letter is kept") from None
    return done


async def _drop(home: Path, letter_ids: tuple[str, ...]) -> list[bool]:
    from worker.cli.deployment import opened
    from worker.config import load_settings
    from worker.store import InvalidName
    from worker.store.dead_letters import DeadLetters

    done: list[bool] = []
    settings = load_settings(home)
    async with opened(settings) as store, _audited(settings, store, "drop", letter_ids, done):
        for letter_id in letter_ids:
            try:
                done.append(await DeadLetters(store.redis).drop(letter_id))
            except InvalidName:
                done.append(False)
    return done


async def _drop_all(home: Path) -> int:
    from worker.cli.deployment import opened
    from worker.cli.local import entry, record
    from worker.config import load_settings
    from worker.store.dead_letters import DeadLetters

    settings = load_settings(home)
    async with opened(settings) as store:
        count = await DeadLetters(store.redis).drop_all()
        await record(settings, store, [entry("dead-letters.drop", "*", detail=f"{count} dropped")])
        return count


@asynccontextmanager
async def _audited(
    settings: Settings, store: Store, verb: str, letter_ids: tuple[str, ...], done: list[bool]
) -> AsyncIterator[None]:
    """Records what was done when it ends, however it ends; `done` grows meanwhile."""
    from worker.cli.local import entry, record

    try:
        yield
    finally:
        action = f"dead-letters.{verb}"
        pairs = zip_longest(letter_ids, done, fillvalue=False)
        await record(settings, store, [entry(action, str(id), done=bool(one)) for id, one in pairs])


def _each(letter_ids: tuple[str, ...], done: list[bool], what: str, as_json: bool) -> int:
    from engine.log.text import printable

    if as_json:
        outcomes = [(id, what if one else "unknown") for id, one in zip(letter_ids, done, strict=True)]
        _print_done(outcomes, sum(done))
    else:
        for letter_id, one in zip(letter_ids, done, strict=True):
            click.echo(f"{printable(letter_id, 100)} {what if one else 'is unknown'}")
    return exit_codes.COMPLETED if all(done) else exit_codes.NO_INPUT


def _print_done(outcomes: list[tuple[str, str]], count: int) -> None:
    from worker.cli.terminal import print_json

    print_json({"letters": [{"id": id, "outcome": outcome} for id, outcome in outcomes], "count": count})


def _list(page: DeadLetterPage) -> None:
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import local_time, size, table

    rows = [
        [
            letter.id,
            local_time(letter.last_at),
            str(letter.times),
            printable(letter.queue, 40),
            size(letter.size),
            printable(letter.reason, 80),
        ]
        for letter in page.letters
    ]
    click.echo(table(["ID", "RECEIVED", "TIMES", "QUEUE", "SIZE", "REASON"], rows, sys.stdout), color=True)
    if page.next:
        notice(f"{len(page.letters)} of {page.total}; for more: --before {page.next}")
    if page.dropped:
        notice(f"{page.dropped} older ones had to make room")


def _show(letter: DeadLetter) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import local_time, size

    cut = "" if letter.size <= len(letter.head) else " ..."
    lines = {
        "letter": letter.id,
        "queue": printable(letter.queue, 1000),
        "reason": printable(letter.reason, 4000),
        "source": printable(letter.source, 4000),
        "received": local_time(letter.at),
        "last": f"{local_time(letter.last_at)}, {letter.times} times" if letter.times > 1 else "",
        "size": size(letter.size),
        "begins": printable(letter.head.decode("utf-8", "backslashreplace"), 2000) + cut,
    }
    for label, value in lines.items():
        if value:
            click.echo(f"{label + ':':<10}{value}")
