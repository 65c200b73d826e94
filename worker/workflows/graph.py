"""Graph: a workflow as a picture, for Mermaid and for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from worker.model.workflow_run import StepStatus
from worker.workflows.workflow import Step, Workflow

_SIGNS = {
    StepStatus.WAITING: "·",
    StepStatus.RUNNING: "▶",
    StepStatus.COMPLETED: "✔",
    StepStatus.SKIPPED: "-",
}
_BAD = "✘"


def mermaid(workflow: Workflow) -> str:
    """A flowchart. Names have no character that means anything there."""
    ids = {step.name: f"s{number}" for number, step in enumerate(workflow.steps)}
    lines = ["flowchart TD"]
    for step in workflow.steps:
        label = step.name if step.name == step.script else f"{step.name}<br/>{step.script}"
        # A condition makes a rounded box; what it says would have to be escaped.
        shape = ("([", "])") if step.when else ("[", "]")
        lines.append(f'  {ids[step.name]}{shape[0]}"{label}"{shape[1]}')
    for step in workflow.steps:
        arrow = " -.-> " if step.when else " --> "
        lines += [f"  {ids[needed]}{arrow}{ids[step.name]}" for needed in step.needs]
    return "\n".join(lines) + "\n"


def drawing(workflow: Workflow, statuses: Mapping[str, StepStatus] | None = None) -> str:
    """A line for each step, by levels: a step stands one level behind the last that it needs."""
    levels: dict[str, int] = {}
    for step in workflow.steps:
        levels[step.name] = max((levels[needed] + 1 for needed in step.needs), default=0)
    lines = []
    for level in range(max(levels.values()) + 1):
        here = [step for step in workflow.steps if levels[step.name] == level]
        for number, step in enumerate(here):
            branch = " " if len(here) == 1 else "┌" if number == 0 else "└" if number == len(here) - 1 else "├"
            lines.append(f"{branch} {_sign(step, statuses)}{_line(step)}")
        if level < max(levels.values()):
            lines.append("  │")
    return "\n".join(lines) + "\n"


def _sign(step: Step, statuses: Mapping[str, StepStatus] | None) -> str:
    if statuses is None:
        return "▪ "
    status = statuses[step.name]
    return f"{_SIGNS.get(status, _BAD)} "


def _line(step: Step) -> str:
    parts = [step.name if step.name == step.script else f"{step.name} ({step.script})"]
    if step.needs:
        parts.append(f"after {', '.join(step.needs)}")
    if step.when:
        parts.append(f"when {step.when.text}")
    if not step.stops:
        parts.append("failure: continue")
    if step.retries:
        parts.append(f"retries: {step.retries}")
    return "  ".join(parts)
