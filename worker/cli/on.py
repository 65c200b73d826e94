"""`penstock on`: run a program that workers list, or a shell text, on certain workers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from worker.cli import exit_codes
from worker.cli.options import json_option
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.submitting import Request


@click.command("on", epilog=exit_codes.table())
@click.argument("target")
@click.argument("words", nargs=-1, metavar="[-- PROGRAM ARGS...]")
@click.option("--shell", "text", metavar="TEXT", help="Instead of a program: a text for /bin/sh.")
@click.option("--cwd", metavar="FOLDER", help="Where it works; one that the worker lists [default: the run's own].")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=300),
    help="It is ended after this long [default: 30; at most 300].",
)
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="A tag of the task; may be repeated.")
@click.option("--yes", is_flag=True, help="With _all: do not ask.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on stderr but errors (and, with --json, the log).")
@json_option("one document on stdout, with the log on stderr,")
@pass_site
def command(
    site: Site,
    target: str,
    words: tuple[str, ...],
    text: str | None,
    cwd: str | None,
    timeout_s: float | None,
    tags: tuple[str, ...],
    yes: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run a program or a shell text on workers.

    TARGET is a worker's name, labels such as group:web.dev (several with a comma between them), _all, or _any.

    PROGRAM is a name that the worker's settings list (`worker.programs`), and every argument has to fit the schema that
    stands there; no shell sees them. --shell works on workers with `worker.allowArbitraryShell: true` only. Both need
    the scope command:execute at a server, and all of the text is kept in the audit. Output, Ctrl-C and the exit code
    are as with `penstock run --target`.

    \b
    Examples:
      penstock on web1 -- unit status nginx.service
      penstock on group:web.dev --timeout 60 -- unit restart nginx.service
      penstock on _all --yes --shell 'df -h / | tail -1'
    """
    from worker.cli.running import Manner, run_task

    request = _request(target, words, text, cwd, timeout_s, tags, yes=yes)
    return run_task(site, request, Manner(None, True, None, quiet, as_json))


def _request(
    target: str,
    words: tuple[str, ...],
    text: str | None,
    cwd: str | None,
    timeout_s: float | None,
    tags: tuple[str, ...],
    *,
    yes: bool,
) -> Request:
    from worker.cli.submitting import Request, TaskOptions, check_tags, target_from
    from worker.model.command import EXEC, SHELL
    from worker.operations.command import payload_of

    if (text is None) == (not words):
        raise click.UsageError("say either -- PROGRAM ARGS... or --shell TEXT")
    check_tags(tags)
    what: dict[str, Any] = {"cwd": cwd}
    if text is None:
        what |= {"program": words[0], "args": list(words[1:])}
    else:
        what |= {"text": text}
    try:
        payload = payload_of(what, timeout_s)
    except UnicodeEncodeError:
        raise click.UsageError("the arguments have to be UTF-8") from None
    meant = target_from(tuple(target.split(",")), yes=yes)
    options = TaskOptions(None, tags, 0, None, None, None, meant)
    return Request(EXEC if text is None else SHELL, payload, str(uuid.uuid4()), options, command=True)
