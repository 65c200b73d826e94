"""Targeted: what has to be true of tasks for certain workers, over the same histories as the checker's."""

from __future__ import annotations

from collections.abc import Iterator

from tests.system.faults.history import START, Histories
from worker.model.status import Status
from worker.model.target import worker_of
from worker.model.task import ChildTask, Task


def broken_targets(histories: Histories) -> Iterator[str]:
    """One line each: nobody but whom it was for has run it, and who stands for others says the truth of them."""
    begun = {mark.task for mark in histories.commands if mark.kind == START}
    for task in histories.tasks.values():
        meant = worker_of(task.queue)
        others = sorted({run.worker for run in task.runs if run.worker} - {meant})
        if meant and others:
            yield f"{task.id}: it was for {meant}, and {others} ran it"
        if task.parent and task.id not in {child.task_id for child in _children(histories, task.parent)}:
            yield f"{task.id}: {task.parent} does not stand for it"
        if task.reason == "no-answer" and task.id in begun and len(task.runs) == 1:
            yield f"{task.id}: nobody answered, and its command was begun"
        if task.children:
            yield from _untrue(task, histories, begun)


def _untrue(parent: Task, histories: Histories, begun: set[str]) -> Iterator[str]:
    if parent.id in begun:
        yield f"{parent.id}: it stands for others, and a command was begun for it"
    names = [child.worker for child in parent.children]
    if len(set(names)) < len(names):
        yield f"{parent.id}: a worker is meant twice: {names}"
    found = [histories.tasks.get(child.task_id) for child in parent.children]
    children = [child for child in found if child is not None]
    if len(children) < len(found):
        yield f"{parent.id}: {len(found) - len(children)} of its tasks are not there"
        return
    for child, each in zip(children, parent.children, strict=True):
        if child.parent != parent.id or worker_of(child.queue) != each.worker:
            yield f"{parent.id}: {child.id} is not its task for {each.worker}"
    ended = [child for child in children if child.status.final]
    if not parent.status.final:
        if len(ended) == len(children):
            yield f"{parent.id}: all of its tasks have ended, and it is {parent.status}"
        return
    if len(ended) < len(children):
        yield f"{parent.id}: {parent.status}, and {len(children) - len(ended)} of its tasks go on"
    good = sum(child.status is Status.COMPLETED for child in children)
    told = Status.COMPLETED if good == len(children) else Status.PARTIAL if good else Status.FAILED
    if parent.status is not told:
        yield f"{parent.id}: {parent.status}, and {good} of {len(children)} completed"
    if told is not Status.COMPLETED and parent.message != f"{good} of {len(children)} workers completed it":
        yield f"{parent.id}: it says {parent.message!r}, and {good} of {len(children)} completed"
    late = [child.id for child in children if (child.finished_at or 0) > (parent.finished_at or 0)]
    if late:
        yield f"{parent.id}: it had ended before {late}"


def _children(histories: Histories, parent: str) -> tuple[ChildTask, ...]:
    found = histories.tasks.get(parent)
    return found.children if found else ()
