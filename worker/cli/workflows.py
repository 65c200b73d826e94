"""`penstock workflows`: several scripts as one graph of steps."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from worker.cli import exit_codes
from worker.cli.options import json_option, payload_options
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.workflow_door import Started, WorkflowDoor
    from worker.workflows.workflow import Workflow

_T = TypeVar("_T")


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
@pass_site
def list_workflows(site: Site, as_json: bool) -> int:
    """List the workflows by name, those of files and those that were saved through the API.

    \b
    Examples:
      penstock workflows list
      penstock workflows list --json | jq -r '.workflows[].name'
    """
    from worker.cli.terminal import print_json, table

    found = _asked(site, lambda workflows: workflows.list())
    if as_json:
        print_json({"workflows": found})
        return exit_codes.COMPLETED
    from engine.log.text import printable

    rows = [
        [
            printable(one["name"], 100),
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
@pass_site
def show(site: Site, name: str, as_json: bool) -> int:
    """Show a workflow with its steps, or a run with what became of each step.

    A name that is both is the workflow's.

    \b
    Examples:
      penstock workflows show release
      penstock workflows show 6f1c2f0e-... --json | jq '.steps[] | {name, status}'
    """
    from worker.cli.terminal import print_json

    workflow, run = _asked(site, lambda workflows: _either(workflows, name))
    if as_json:
        print_json(run or workflow)
    elif run is not None:
        _show_run(run)
    elif workflow is not None:
        _show_workflow(workflow)
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
@pass_site
def list_runs(site: Site, workflow: str | None, status: str | None, limit: int, as_json: bool) -> int:
    """List the runs of workflows, newest first.

    \b
    Examples:
      penstock workflows runs
      penstock workflows runs --workflow release --status failed --json
    """
    from worker.cli.terminal import local_time_of, print_json, table

    page = _asked(site, lambda workflows: workflows.runs(workflow, status, limit))
    if as_json:
        print_json(page)
        return exit_codes.COMPLETED
    from engine.log.text import printable

    rows = [
        [
            run["runId"],
            printable(run["workflow"], 100),
            run["status"],
            f"{run['stepsDone']}/{run['stepsTotal']}",
            local_time_of(run["createdAt"]),
            printable(run["startedBy"], 40),
            printable(", ".join(run["failedSteps"]), 200),
        ]
        for run in page["runs"]
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
@pass_site
def run(
    site: Site,
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
    return _started(site, lambda workflows: workflows.start(name, parameters, source, run_id), follow, as_json)


@command.command("check")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path())
@json_option("the result")
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], as_json: bool) -> int:
    """Check workflow files: those of the deployment, or the ones that are named.

    Prints each problem as FILE:LINE:COLUMN: POINTER: MESSAGE. Starts nothing and needs no store. Exit code 0 when all
    is well, 65 otherwise.

    \b
    Examples:
      penstock workflows check
      penstock workflows check draft.yaml
    """
    from engine.log.text import printable
    from worker.cli.site import refuse_server
    from worker.cli.terminal import print_json

    refuse_server(ctx, "workflows check", kept=False)
    names, problems = _checked(ctx.find_object(Path) or Path(), files)
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
@pass_site
def graph(site: Site, name: str, as_mermaid: bool, as_json: bool) -> int:
    """Draw the graph of a workflow, or of a run with the state of its steps.

    Draws on a terminal; prints Mermaid into a pipe or a file. The graph of a file needs no store.

    \b
    Examples:
      penstock workflows graph release
      penstock workflows graph release > release.mmd
    """
    from worker.cli.terminal import print_json
    from worker.model.workflow_run import StepStatus
    from worker.workflows.graph import drawing, mermaid

    whole = asyncio.run(site.declared_workflow(name))
    run = None
    if whole is None:
        whole, run = _asked(site, lambda workflows: _either(workflows, name))
    workflow = _workflow(whole or run or {})
    if as_json:
        steps = [{"name": step.name, "script": step.script, "needs": list(step.needs)} for step in workflow.steps]
        print_json({"mermaid": mermaid(workflow), "steps": steps})
    elif as_mermaid or not sys.stdout.isatty():
        click.echo(mermaid(workflow), nl=False)
    else:
        statuses = {step.name: StepStatus.WAITING for step in workflow.steps}
        statuses |= {step["name"]: StepStatus(step["status"]) for step in (run or {}).get("steps", ())}
        click.echo(drawing(workflow, statuses if run else None), nl=False)
    return exit_codes.COMPLETED


@command.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.option("--why", metavar="TEXT", default="", help="Kept with the record and shown to whoever looks.")
@json_option("{runId, outcome, status}")
@pass_site
def cancel(site: Site, run_id: str, why: str, as_json: bool) -> int:
    """End a run: what runs is cancelled, and no step begins any more.

    A run that has ended is left as it is; twice is the same as once. An unknown id: exit code 66.

    \b
    Examples:
      penstock workflows cancel 6f1c2f0e-... --why "wrong branch"
    """
    from worker.cli.terminal import print_json

    outcome, status = _asked(site, lambda workflows: workflows.cancel(run_id, why))
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
@pass_site
def rerun(site: Site, run_id: str, follow: bool, as_json: bool) -> int:
    """Start a new run from the failed steps of one that has ended, and print its id.

    Steps that completed keep their results. The definition is that of the run, also when the workflow was changed
    since. Exit code 65 for a run that lasts, or of which nothing failed.

    \b
    Examples:
      penstock workflows rerun 6f1c2f0e-... --follow
    """
    return _started(site, lambda workflows: workflows.rerun(run_id), follow, as_json)


def _asked(site: Site, call: Callable[[WorkflowDoor], Awaitable[_T]]) -> _T:
    async def main() -> _T:
        async with site.workflows() as workflows:
            return await call(workflows)

    return asyncio.run(main())


async def _either(workflows: WorkflowDoor, name: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The workflow of that name, else the run with that id."""
    found = await workflows.find(name)
    return (found, None) if found is not None else (None, await workflows.run(name))


def _started(site: Site, start: Callable[[WorkflowDoor], Awaitable[Started]], follow: bool, as_json: bool) -> int:
    from worker.cli.notice import notice
    from worker.cli.terminal import print_json
    from worker.cli.workflow_following import end_of, exit_code_of

    async def begin(workflows: WorkflowDoor) -> int:
        started = await start(workflows)
        if not follow:
            told = {"runId": started.run_id, "created": started.created}
            print_json(told) if as_json else click.echo(started.run_id)
            return exit_codes.COMPLETED
        notice(f"workflow run {started.run_id}")
        try:
            run = await end_of(workflows, started.run_id, notice)
        except asyncio.CancelledError:
            notice(f"not following any more; the run goes on: penstock workflows show {started.run_id}")
            raise
        print_json(run) if as_json else _show_run(run)
        return exit_code_of(run)

    return _asked(site, begin)


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


def _workflow(whole: dict[str, Any]) -> Workflow:
    """Of the definition in the document of a workflow, or of a run. Raises DeclarationError for what is none."""
    from worker.workflows.drive import snapshot

    return snapshot(whole.get("name") or whole["workflow"], json.dumps(whole["definition"]))


def _show_workflow(whole: dict[str, Any]) -> None:
    from engine.log.text import printable
    from worker.workflows.graph import drawing

    for key in ("name", "title", "description", "tags", "enabled", "source", "file", "version", "updatedBy"):
        value = whole[key]
        if value not in ("", [], None):
            text = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"{key + ':':<14}{printable(text, 4000)}")
    click.echo("steps:")
    for line in drawing(_workflow(whole)).splitlines():
        click.echo(f"  {printable(line, 4000)}")


def _show_run(run: dict[str, Any]) -> None:
    from engine.log.text import printable
    from worker.cli.terminal import local_time_of, painted_status, table

    click.echo(f"{'run:':<12}{run['runId']}")
    click.echo(f"{'workflow:':<12}{printable(run['workflow'], 100)}")
    click.echo(f"{'status:':<12}{painted_status(run['status'], sys.stdout)}", color=True)
    if run["failedSteps"]:
        click.echo(f"{'failed:':<12}{printable(', '.join(run['failedSteps']), 4000)}")
    click.echo(f"{'started:':<12}{local_time_of(run['createdAt'])} by {printable(run['startedBy'], 100)}")
    if run["cancel"]:
        why = f": {printable(run['cancel']['why'], 500)}" if run["cancel"]["why"] else ""
        click.echo(f"{'cancelled:':<12}by {printable(run['cancel']['by'], 100)}{why}")
    if run["rerunOf"]:
        click.echo(f"{'repeats:':<12}{printable(run['rerunOf'], 100)}")
    rows = [
        [
            printable(step["name"], 100),
            step["status"],
            printable(step["reason"] or "-", 100),
            str(step["attempt"] + 1) if step["taskId"] else "-",
            printable(step["taskId"] or "-", 100) + (" (kept)" if step["kept"] else ""),
            printable((step["task"] or {}).get("worker") or "-", 40),
            printable(step["message"] or "", 80),
        ]
        for step in run["steps"]
    ]
    head = ["STEP", "STATUS", "REASON", "ATTEMPT", "TASK", "WORKER", "MESSAGE"]
    click.echo(table(head, rows, sys.stdout, status=1), color=True)
