"""Main: the command `penstock`, its global options, and what becomes of errors. Imports no command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from worker.cli import exit_codes
from worker.cli.lazy_group import LazyGroup

COMMANDS = {
    "up": "Start the embedded store, a worker, the HTTP API and a beat.",
    "worker": "Start a worker at the configured broker.",
    "api": "Serve the HTTP API.",
    "beat": "Submit tasks by the schedules.",
    "run": "Submit a task, follow its log, exit with its exit code.",
    "submit": "Submit a task and print its id.",
    "exec": "Run a script here, with the engine alone.",
    "on": "Run a program or a shell text on workers.",
    "check": "Validate the whole deployment.",
    "scripts": "List, show, register and approve scripts.",
    "workflows": "List, run and check workflows, and see their runs.",
    "tasks": "List the tasks, newest first.",
    "show": "Show a task and its runs.",
    "logs": "Print the log of a task.",
    "artifacts": "List or download the artifacts of a task.",
    "files": "Read text files that the deployment or a server shares.",
    "cancel": "End tasks that wait or run.",
    "rerun": "Submit the payload of an ended task once more.",
    "watch": "Show the newest tasks, live.",
    "status": "Show queues, workers and tasks at a glance.",
    "workers": "List, drain, pause and remove workers.",
    "schedules": "List, try, make, change and trigger schedules.",
    "dead-letters": "List, show, replay or drop unreadable messages.",
    "secrets": "Check and rotate the keys of secrets at rest.",
    "keys": "Make, list, rotate and revoke API keys.",
    "tokens": "Issue and look at tokens (JWT).",
    "audit": "Show who did what, and what was refused.",
    "acl": "Print an account for the store or the broker.",
    "login": "Keep a server and its API key for the commands that follow.",
    "logout": "Forget the server and the API key that `login` has kept.",
    "completion": "Print the completion script for a shell.",
}

# What has no meaning with a server, or no way there.
_ABOUT_A_STORE = frozenset({"dead-letters", "secrets"})
_IN_A_FOLDER = frozenset({"up", "worker", "api", "beat", "exec", "check", "acl"}) | _ABOUT_A_STORE

_HELP = """A declarative task worker: JSON in, one fixed command per script, a checked and recorded run out.

A deployment is a folder with config/ and scripts/: the current one, unless -C or PENSTOCK_HOME names another.
Elsewhere the commands work with a server: PENSTOCK_SERVER and PENSTOCK_API_KEY, or `penstock login`.

\b
Examples:
  penstock check
  penstock up
  penstock run sign-file -p file=README.md
  penstock -C /srv/builds tasks --status failed --json
"""


@click.group(
    cls=LazyGroup,
    package="worker.cli",
    lazy=COMMANDS,
    help=_HELP,
    epilog=exit_codes.table(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="PENSTOCK_HOME",
    default=".",
    help="The deployment's folder [default: PENSTOCK_HOME, else the current folder].",
)
@click.version_option(package_name="penstock", prog_name="penstock", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, directory: Path) -> None:
    ctx.obj = directory.absolute()
    command = ctx.invoked_subcommand or ""
    if command in _IN_A_FOLDER and not {"-h", "--help"} & {*ctx.args}:
        from worker.cli.site import refuse_server

        refuse_server(ctx, command, kept=command in _ABOUT_A_STORE)


def main() -> None:
    """The entry point: runs the command of `sys.argv` and ends the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if "_PENSTOCK_COMPLETE" in os.environ:
        cli.main(prog_name="penstock")
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must not be tried again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = exit_codes.BROKEN_PIPE
    _end(code)


def _end(code: int) -> NoReturn:
    """Without the interpreter's clearing up, which takes 35 ms: whatever has to be closed or waited for was by now."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Every error is told on stderr."""
    try:
        with cli.make_context("penstock", list(arguments)) as ctx:
            code = cli.invoke(ctx)
            return code if isinstance(code, int) else exit_codes.COMPLETED
    except click.exceptions.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, EOFError, click.Abort):
        return exit_codes.INTERRUPTED
    except click.UsageError as error:
        _tell([error.format_message()])
        if error.ctx is not None:
            click.echo(f"Try `{error.ctx.command_path} --help`.", err=True)
        return exit_codes.USAGE
    except click.ClickException as error:
        _tell([error.format_message()])
        return exit_codes.USAGE
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the door of the process
        return _failed(error)


def _failed(error: Exception) -> int:
    from engine.errors import DeclarationError, PayloadError, PenstockError
    from worker.cli.failure import Failure

    match error:
        case Failure():
            _tell(error.messages)
            return error.exit_code
        case DeclarationError() | PayloadError():
            _tell(str(problem) for problem in error.problems)
            return exit_codes.DATA
        case PenstockError():
            _tell([str(error)])
            return exit_codes.SOFTWARE
    import traceback

    traceback.print_exception(error)
    _tell([f"a fault of Penstock's own: {type(error).__name__}: {error}"])
    return exit_codes.SOFTWARE


def _tell(messages: Iterable[str]) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import painted

    prefix = painted("penstock: error:", sys.stderr, fg="red", bold=True)
    for message in messages:
        # A message of several lines (the end of a log) keeps them; anything else that controls a terminal is escaped.
        for line in message.split("\n"):
            click.echo(f"{prefix} {printable(line, 4000)}", err=True, color=True)


if __name__ == "__main__":
    main()
