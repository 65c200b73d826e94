"""`penstock workflows`: several scripts as one graph of steps."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.cli import exit_codes
from worker.cli.options import json_option, payload_options

if TYPE_CHECKING:
    from worker.model import Task
    from worker.model.workflow_run import WorkflowRun
    from worker.workflows.definitions import Definition


@click.group("workflows")
def command() -> None:
    """List, run and check workflows, and see their runs.

    A workflow is a file config/workflows/NAME.yaml, or was saved through the API. It names steps, each of which runs a
    script. See docs/workflows.md.

    \b
    Examples:
      penstock workflows list
      penstock workflows run release -p folder=scripts --follow
      penstock workflows runs --status failed
      penstock workflows rerun 6f1c2f0e-... --follow
    """


@command.command("list")
@json_option("{workflows}")
@click.pass_obj
def list_workflows(home: Path, as_json: bool) -> int:
    """List the workflows by name, those of files and those that were saved through the API.

    \b
    Examples:
      penstock workflows list
      penstock workflows list --json | jq -r '.workflows[].name'
    """
    from worker.cli.terminal import print_json, table
    from worker.cli.workflow_document import of_workflow

    found = [of_workflow(definition) for definition in asyncio.run(_definitions(home))]
    if as_json:
        print_json({"workflows": found})
        return exit_codes.COMPLETED
    from engine.log.text import printable

    rows = [
        [
            one["name"],
            one["source"],
            "yes" if one["enabled"] else "no",
            str(len(one["steps"])),
            printable(one["title"], 60),
        ]
        for one in found
    ]
    click.echo(table(["NAME", "SOURCE", "ENABLED", "STEPS", "TITLE"], rows, sys.stdout), color=True)
    return exit_codes.COMPLETED


@command.command("show")
@click.argument("name", metavar="NAME|RUN")
@json_option("the workflow, or the run,")
@click.pass_obj
def show(home: Path, name: str, as_json: bool) -> int:
    """Show a workflow with its steps, or a run with what became of each step.

    A name that is both is the workflow's.

    \b
    Examples:
      penstock workflows show release
      penstock workflows show 6f1c2f0e-... --json | jq '.steps[] | {name, status}'
    """
    definition, run, tasks = asyncio.run(_either(home, name))
    from worker.cli.terminal import print_json
    from worker.cli.workflow_document import of_run, of_workflow

    if run is not None:
        print_json(of_run(run, tasks)) if as_json else _show_run(run, tasks)
    elif definition is not None:
        whole = {**of_workflow(definition), "definition": dict(definition.workflow.document)}
        print_json(whole) if as_json else _show_workflow(whole, definition)
    return exit_codes.COMPLETED


@command.command("runs")
@click.option("--workflow", metavar="NAME", help="Only those of this workflow.")
@click.option(
    "--status",
    type=click.Choice(["pending", "running", "completed", "failed", "cancelled"]),
    help="Only those with this status.",
)
@click.option("--limit", type=click.IntRange(1, 200), default=20, help="At most so many [default: 20].")
@json_option("{runs, next}")
@click.pass_obj
def list_runs(home: Path, workflow: str | None, status: str | None, limit: int, as_json: bool) -> int:
    """List the runs of workflows, newest first.

    \b
    Examples:
      penstock workflows runs
      penstock workflows runs --workflow release --status failed --json
    """
    from worker.cli.terminal import local_time, print_json, table
    from worker.cli.workflow_document import run_in_list

    runs, following = asyncio.run(_runs(home, workflow, status, limit))
    if as_json:
        print_json({"runs": [run_in_list(run) for run in runs], "next": following})
        return exit_codes.COMPLETED
    from engine.log.text import printable

    rows = [
        [
            run.id,
            run.workflow,
            run.status.value,
            f"{sum(state.status.final for state in run.steps)}/{len(run.steps)}",
            local_time(run.created_at),
            printable(run.principal.name, 40),
            ", ".join(run.failed_steps),
        ]
        for run in runs
    ]
    head = ["RUN", "WORKFLOW", "STATUS", "STEPS", "STARTED", "BY", "FAILED"]
    click.echo(table(head, rows, sys.stdout, status=2), color=True)
    return exit_codes.COMPLETED


@command.command("run")
@click.argument("name")
@payload_options
@click.option("--id", "run_id", metavar="ID", help="The run's id [default: a new UUID]; the same twice is one run.")
@click.option("-f", "--follow", is_flag=True, help="Wait for the end, tell of each step, exit by how it ended.")
@json_option("the id, or with --follow the run,")
@click.pass_obj
def run(
    home: Path,
    name: str,
    parameters: tuple[str, ...],
    source: str | None,
    run_id: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    """Start a workflow and print the id of the run.

    The payload is checked first: when it is refused (exit code 65) every violation is told and nothing is recorded.
    With --follow the exit code is 0 when all steps completed, 1 when one failed, 130 when the run was cancelled.
    Ctrl-C stops following and leaves the run alone.

    \b
    Examples:
      penstock workflows run release -p folder=scripts
      penstock workflows run release -p folder=scripts --follow --json | jq .failedSteps
    """
    return asyncio.run(_run(home, name, parameters, source, run_id, follow, as_json))


@command.command("check")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path())
@json_option("the result")
@click.pass_obj
def check(home: Path, files: tuple[str, ...], as_json: bool) -> int:
    """Check workflow files: those of the deployment, or the ones that are named.

    Prints each problem as FILE:LINE:COLUMN: POINTER: MESSAGE. Starts nothing and needs no store. Exit code 0 when all
    is well, 65 otherwise.

    \b
    Examples:
      penstock workflows check
      penstock workflows check draft.yaml
    """
    from engine.log.text import printable
    from worker.cli.terminal import print_json

    names, problems = _checked(home, files)
    if as_json:
        told = [
            {"file": p.file, "line": p.line, "column": p.column, "pointer": p.pointer, "message": p.message}
            for p in problems
        ]
        print_json({"ok": not problems, "workflows": names, "problems": told})
    elif problems:
        for problem in problems:
            click.echo(printable(str(problem), 4000))
    else:
        click.echo(f"ok: {len(names)} workflow{'' if len(names) == 1 else 's'}")
    return exit_codes.DATA if problems else exit_codes.COMPLETED


@command.command("graph")
@click.argument("name", metavar="NAME|RUN")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print Mermaid, also on a terminal.")
@json_option("{mermaid, steps}")
@click.pass_obj
def graph(home: Path, name: str, as_mermaid: bool, as_json: bool) -> int:
    """Draw the graph of a workflow, or of a run with the state of its steps.

    Draws on a terminal; prints Mermaid into a pipe or a file. The graph of a file needs no store.

    \b
    Examples:
      penstock workflows graph release
      penstock workflows graph release > release.mmd
    """
    from worker.cli.terminal import print_json
    from worker.workflows.drive import snapshot
    from worker.workflows.graph import drawing, mermaid

    definition, run_, _ = asyncio.run(_either(home, name, file_first=True))
    statuses = {state.name: state.status for state in run_.steps} if run_ else None
    assert definition or run_
    workflow = definition.workflow if definition else snapshot(run_.workflow, run_.definition)  # type: ignore[union-attr]
    if as_json:
        steps = [{"name": step.name, "script": step.script, "needs": list(step.needs)} for step in workflow.steps]
        print_json({"mermaid": mermaid(workflow), "steps": steps})
    elif as_mermaid or not sys.stdout.isatty():
        click.echo(mermaid(workflow), nl=False)
    else:
        click.echo(drawing(workflow, statuses), nl=False)
    return exit_codes.COMPLETED


@command.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.option("--why", metavar="TEXT", default="", help="Kept with the record and shown to whoever looks.")
@json_option("{runId, outcome, status}")
@click.pass_obj
def cancel(home: Path, run_id: str, why: str, as_json: bool) -> int:
    """End a run: what runs is cancelled, and no step begins any more.

    A run that has ended is left as it is; twice is the same as once. An unknown id: exit code 66.

    \b
    Examples:
      penstock workflows cancel 6f1c2f0e-... --why "wrong branch"
    """
    from worker.cli.terminal import print_json

    outcome, status = asyncio.run(_cancel(home, run_id, why))
    if as_json:
        print_json({"runId": run_id, "outcome": outcome, "status": status})
    else:
        said = {"requested": "is being ended", "already": "was asked to end before", "final": f"had ended: {status}"}
        click.echo(f"{run_id} {said[outcome]}")
    return exit_codes.COMPLETED


@command.command("rerun")
@click.argument("run_id", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Wait for the end, as `run --follow`.")
@json_option("the id, or with --follow the run,")
@click.pass_obj
def rerun(home: Path, run_id: str, follow: bool, as_json: bool) -> int:
    """Start a new run from the failed steps of one that has ended, and print its id.

    Steps that completed keep their results. The definition is that of the run, also when the workflow was changed
    since. Exit code 65 for a run that lasts, or of which nothing failed.

    \b
    Examples:
      penstock workflows rerun 6f1c2f0e-... --follow
    """
    return asyncio.run(_rerun(home, run_id, follow, as_json))


async def _definitions(home: Path) -> list[Definition]:
    from worker.cli.workflow_running import place_of

    async with place_of(home) as place:
        return list(await place.definitions.all())


async def _either(
    home: Path, name: str, *, file_first: bool = False
) -> tuple[Definition | None, WorkflowRun | None, dict[str, Task]]:
    """The workflow of that name, else the run with that id and its tasks."""
    from worker.cli.workflow_running import place_of, run_of, tasks_of

    if file_first:
        from worker.daemons.wiring import open_deployment
        from worker.workflows.definitions import Definition
        from worker.workflows.load import load_workflows

        files = load_workflows(home, open_deployment(home).catalog.scripts)
        if name in files:
            return Definition(files[name]), None, {}
    async with place_of(home) as place:
        definition = await place.definitions.get(name)
        if definition is not None:
            return definition, None, {}
        run = await run_of(place, name)
        return None, run, await tasks_of(place, run)


async def _runs(
    home: Path, workflow: str | None, status: str | None, limit: int
) -> tuple[tuple[WorkflowRun, ...], str | None]:
    from worker.cli.workflow_running import place_of
    from worker.model.workflow_run import WorkflowStatus

    async with place_of(home) as place:
        wanted = WorkflowStatus(status) if status else None
        page = await place.runs.page(workflow=workflow, status=wanted, limit=limit)
        return page.runs, page.next


async def _run(
    home: Path,
    name: str,
    parameters: tuple[str, ...],
    source: str | None,
    run_id: str | None,
    follow: bool,
    as_json: bool,
) -> int:
    from worker.cli.workflow_running import begin, place_of

    async with place_of(home) as place:
        started = await begin(place, name, parameters, source, run_id)
        return await _told(place, started.run_id, started.created, follow, as_json)


async def _rerun(home: Path, run_id: str, follow: bool, as_json: bool) -> int:
    from worker.cli.workflow_running import again, place_of

    async with place_of(home) as place:
        started = await again(place, run_id)
        return await _told(place, started.run_id, started.created, follow, as_json)


async def _told(place: Any, run_id: str, created: bool, follow: bool, as_json: bool) -> int:
    from worker.cli.notice import notice
    from worker.cli.terminal import print_json
    from worker.cli.workflow_document import of_run
    from worker.cli.workflow_running import end_of, exit_code_of, tasks_of

    if not follow:
        print_json({"runId": run_id, "created": created}) if as_json else click.echo(run_id)
        return exit_codes.COMPLETED
    notice(f"workflow run {run_id}")
    try:
        run = await end_of(place, run_id, notice)
    except asyncio.CancelledError:
        notice(f"not following any more; the run goes on: penstock workflows show {run_id}")
        raise
    tasks = await tasks_of(place, run)
    print_json(of_run(run, tasks)) if as_json else _show_run(run, tasks)
    return exit_code_of(run)


async def _cancel(home: Path, run_id: str, why: str) -> tuple[str, str]:
    from worker.cli.local import entry, local_principal, record
    from worker.cli.workflow_running import place_of, run_of
    from worker.workflows.stop import stop

    async with place_of(home) as place:
        run = await run_of(place, run_id)
        outcome, status = await stop(run.id, runs=place.runs, driver=place.driver, by=local_principal().name, why=why)
        done = outcome in ("requested", "already")
        told = entry("workflows.cancel", run.id, done=done, detail=outcome)
        await record(place.deployment.settings, place.store, [told])
        now = await place.runs.get(run.id)
        return outcome, (now.status if now else status or run.status).value


def _checked(home: Path, files: tuple[str, ...]) -> tuple[list[str], list[Any]]:
    from engine.errors import DeclarationError
    from worker.config import load_all
    from worker.workflows.load import load_workflow, load_workflows

    try:
        _, catalog = load_all(home)
        if not files:
            return sorted(load_workflows(home, catalog.scripts)), []
    except DeclarationError as error:
        return [], list(error.problems)
    names: list[str] = []
    problems: list[Any] = []
    for file in files:
        try:
            names.append(load_workflow(file, find=catalog.get, names=catalog.scripts).name)
        except DeclarationError as error:
            problems += error.problems
    return [] if problems else names, problems


def _show_workflow(whole: dict[str, Any], definition: Definition) -> None:
    from engine.log.text import printable
    from worker.workflows.graph import drawing

    for key in ("name", "title", "description", "tags", "enabled", "source", "file", "version", "updatedBy"):
        value = whole[key]
        if value not in ("", [], None):
            text = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"{key + ':':<14}{printable(text, 4000)}")
    click.echo("steps:")
    for line in drawing(definition.workflow).splitlines():
        click.echo(f"  {printable(line, 4000)}")


def _show_run(run: WorkflowRun, tasks: dict[str, Task]) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import local_time, painted_status, table

    click.echo(f"{'run:':<12}{run.id}")
    click.echo(f"{'workflow:':<12}{run.workflow}")
    click.echo(f"{'status:':<12}{painted_status(run.status.value, sys.stdout)}", color=True)
    if run.failed_steps:
        click.echo(f"{'failed:':<12}{', '.join(run.failed_steps)}")
    click.echo(f"{'started:':<12}{local_time(run.created_at)} by {printable(run.principal.name, 100)}")
    if run.cancel:
        why = f": {printable(run.cancel.why, 500)}" if run.cancel.why else ""
        click.echo(f"{'cancelled:':<12}by {printable(run.cancel.by, 100)}{why}")
    if run.rerun_of:
        click.echo(f"{'repeats:':<12}{run.rerun_of}")
    rows = []
    for state in run.steps:
        task = tasks.get(state.task or "")
        rows.append(
            [
                state.name,
                state.status.value,
                state.reason or "-",
                str(state.attempt + 1) if state.task else "-",
                (state.task or "-") + (" (kept)" if state.kept else ""),
                printable((task.runs[-1].worker if task else None) or "-", 40),
                printable(state.message, 80),
            ]
        )
    head = ["STEP", "STATUS", "REASON", "ATTEMPT", "TASK", "WORKER", "MESSAGE"]
    click.echo(table(head, rows, sys.stdout, status=1), color=True)
