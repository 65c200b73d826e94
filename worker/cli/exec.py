"""`penstock exec`: run a script here, with the engine alone: no store, no queue, no record."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes
from worker.cli.options import json_option, payload_options, script_argument

if TYPE_CHECKING:
    from engine.plugin import Prepared
    from worker.config import Settings


@click.command("exec", epilog=exit_codes.table())
@script_argument()
@payload_options
@json_option("one document on stdout, with the log on stderr,")
@click.option("--log", "log_file", metavar="FILE", type=click.Path(path_type=Path), help="Write the log there instead.")
@click.option("--keep", metavar="DIR", type=click.Path(path_type=Path), help="Keep the artifacts in this folder.")
@click.option("--task-id", metavar="ID", help="The TASK_ID of the command [default: a new UUID].")
@click.option("--run-id", metavar="N", type=click.IntRange(0), default=0, help="Its RUN_ID [default: 0].")
@click.pass_obj
def command(
    home: Path,
    script: str,
    parameters: tuple[str, ...],
    source: str | None,
    as_json: bool,
    log_file: Path | None,
    keep: Path | None,
    task_id: str | None,
    run_id: int,
) -> int:
    """Run a script here, with the engine alone.

    For people who write scripts. The same checks, environment, limits and exit codes as in a worker, but no store is
    needed and nothing is recorded. The log goes to stdout, and how it ended to stderr. A disabled script runs too.

    \b
    Examples:
      penstock exec sign-file -p file=README.md
      penstock exec sign-file --payload payload.json --keep out/ --json
      echo '{"file": "README.md"}' | penstock exec sign-file --payload -
    """
    from engine.process.nursery import Nursery

    with closing(Nursery()) as nursery:  # it gets ready while all else is read
        from worker.cli.door import Form
        from worker.cli.execution import Execution, execute_here
        from worker.cli.payload import payload_from

        settings, prepared = _prepared(home, script)
        form = Form(prepared.schema.document, prepared.script.limits.payload_bytes)
        payload = payload_from(parameters, source, form=form)
        execution = Execution(
            task_id=_checked(task_id),
            run_id=run_id,
            live=None if log_file else sys.stderr if as_json else sys.stdout,
            log_file=log_file,
            keep=keep,
        )
        outcome = execute_here(prepared, payload, settings, execution, nursery)
    exit_code = outcome.exit.code if outcome.exit else None
    if as_json:
        from worker.cli.document import of_outcome
        from worker.cli.terminal import print_json

        print_json(of_outcome(outcome, task_id=execution.task_id, run_id=run_id, script=script))
    else:
        from worker.cli.notice import ending, stored
        from worker.cli.terminal import duration

        ending(outcome.status, outcome.reason, outcome.message, duration(round(outcome.duration_s * 1000)))
        stored(outcome.artifacts)
    if outcome.reason == "malformed-payload" and outcome.exit is None:
        return exit_codes.DATA
    return exit_codes.of_task(outcome.status, outcome.reason, exit_code)


def _prepared(home: Path, name: str) -> tuple[Settings, Prepared]:
    """That script only: whatever is wrong with another is no obstacle here."""
    import os

    from engine.plugin import Plugins
    from engine.script import load_script
    from worker.cli.failure import unknown
    from worker.cli.options import script_names
    from worker.config import load_settings

    # Servers are not needed, so what the environment says of them is not judged.
    environ = {key: value for key, value in os.environ.items() if key == "PENSTOCK_WORKER_NAME"}
    settings = load_settings(home, environ)
    known = script_names(home)
    if name not in known:
        raise unknown("script", name, known)
    files = [settings.scripts_folder / f"{name}{suffix}" for suffix in (".yaml", ".yml")]
    path = next(file for file in files if file.exists() or file.is_symlink())
    return settings, Plugins(settings.plugins).prepare(load_script(path, home=home))


def _checked(task_id: str | None) -> str:
    if task_id is None:
        import uuid

        return str(uuid.uuid4())
    from worker.model.task import TASK_ID

    if not TASK_ID.match(task_id):
        raise click.UsageError(f"--task-id has the form {TASK_ID.pattern}")
    return task_id
