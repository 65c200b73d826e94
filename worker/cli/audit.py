"""`penstock audit`: who did what, and what was refused."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import click

from worker.cli import exit_codes
from worker.cli.moment import Moment, MomentType
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.model.audit import AuditEntry

_PAGE = 1000


@click.command("audit")
@click.option("--who", metavar="NAME", help="Only of this principal.")
@click.option("--action", metavar="ACTION", help="Only this, or what begins with it: keys.create, or keys.")
@click.option("--target", metavar="NAME", help="Only about this script, task, key ...")
@click.option("--result", type=click.Choice(["allowed", "denied", "failed"]), help="Only with this result.")
@click.option("--since", metavar="DURATION|TIME", type=MomentType(after=True, at=True), help="Not older than that.")
@click.option("--until", metavar="DURATION|TIME", type=MomentType(after=True, at=True), help="Not newer than that.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=50, help="At most so many [default: 50].")
@click.option("--before", metavar="CURSOR", help="Go on after a page: its `next`.")
@click.option(
    "--export",
    metavar="FILE.jsonl",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write all that match to a new file, or to stdout (-), one JSON object a line.",
)
@json_option("{entries, next}")
@pass_site
def command(
    site: Site,
    who: str | None,
    action: str | None,
    target: str | None,
    result: str | None,
    since: Moment | None,
    until: Moment | None,
    limit: int,
    before: str | None,
    export: str | None,
    as_json: bool,
) -> int:
    """Show who did what, and what was refused.

    Newest first. Every call that changes or runs something is kept, over the API and from the command line, and every
    refusal. Nothing here changes or removes an entry; the oldest go when there are more than audit.entries or
    audit.refused.

    \b
    Examples:
      penstock audit
      penstock audit --action keys --since 7d
      penstock audit --result denied --json | jq '.entries[].from'
      penstock audit --since 2026-11-01 --export november.jsonl
    """
    if export is not None and (as_json or before is not None):
        raise click.UsageError("--export writes everything as JSON lines: it goes with neither --json nor --before")
    wanted: dict[str, Any] = {"who": who, "action": action, "target": target, "result": result}
    return asyncio.run(_audit(site, wanted, (since, until), limit, before, export, as_json))


async def _audit(
    site: Site,
    wanted: dict[str, Any],
    span: tuple[Moment | None, Moment | None],
    limit: int,
    before: str | None,
    export: str | None,
    as_json: bool,
) -> int:
    from worker.model.audit import AuditFilter, AuditPage

    chosen = AuditFilter(**wanted)
    async with site.open() as door:

        async def pages() -> AsyncIterator[AuditPage]:
            cursor = before
            while True:
                page = await door.audit(chosen, span, _PAGE, cursor)
                yield page
                if (cursor := page.next) is None:
                    return

        if export is not None:
            await _export(pages(), export)
            return exit_codes.COMPLETED
        page = await door.audit(chosen, span, limit, before)
        # An empty page with more behind it is of no use to anybody.
        while not page.entries and page.next:
            page = await door.audit(chosen, span, limit, page.next)
    if as_json:
        from worker.cli.terminal import print_json

        print_json({"entries": [entry.document() for entry in page.entries], "next": page.next})
    else:
        _table(page.entries, page.next)
    return exit_codes.COMPLETED


async def _export(pages: AsyncIterator[Any], path: str) -> None:
    from worker.cli.failure import Failure
    from worker.cli.notice import notice

    count = 0
    try:
        # What somebody exported is not written over, and is nobody else's to read.
        file = sys.stdout.fileno() if path == "-" else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8", closefd=path != "-") as stream:
            async for page in pages:
                for entry in page.entries:
                    stream.write(json.dumps(entry.document(), ensure_ascii=True) + "\n")
                    count += 1
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(exit_codes.CANNOT_CREATE, f"{path[:200]}: {error.strerror or error}") from None
    notice(f"{count} {'entry' if count == 1 else 'entries'}")


def _table(entries: tuple[AuditEntry, ...], following: str | None) -> None:
    from engine.log.text import printable
    from worker.cli.notice import notice
    from worker.cli.terminal import local_time, table

    rows = [
        [
            local_time(entry.at),
            entry.result,
            printable(entry.who or "-", 30),
            printable(entry.kind, 20),
            printable(entry.from_ or "-", 40),
            entry.action,
            printable(entry.target or "-", 50),
            printable(entry.detail, 60),
        ]
        for entry in entries
    ]
    head = ["TIME", "RESULT", "WHO", "BY", "FROM", "ACTION", "TARGET", "DETAIL"]
    click.echo(table(head, rows, sys.stdout), color=True)
    if following:
        notice(f"for more: --before {following}")
