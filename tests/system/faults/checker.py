"""Checker: proves over three histories that nothing was lost, done twice or left behind; says what was, else.

The histories are the producers', the commands' (both written outside the store), and the store's own events and
records. The checker knows nothing of the fault that was played, so it ends every test alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.system.faults.history import ACCEPTED, END, START, TRIED, Histories, Mark
from tests.system.faults.targeted import broken_targets
from worker.model.listing import Event
from worker.model.status import Status
from worker.model.task import Task

_ENDS = frozenset({"resolved", "expired", "overdue", "cancelled"})
# From the state of a task (its newest run's) by the kind of an event to the next state.
_STEPS = {
    ("absent", "registered"): "pending",
    ("pending", "claimed"): "running",
    ("pending", "cancelled"): "ended",
    ("pending", "overdue"): "ended",
    ("running", "cancel-requested"): "running",
    ("running", "resolved"): "ended",
    ("running", "expired"): "ended",
    ("running", "overdue"): "ended",
    ("ended", "registered"): "pending",
}


@dataclass(slots=True)
class _Told:
    """What the events tell of one task: when each run was claimed and ended, in milliseconds, and its end's status."""

    state: str = "absent"
    run: int = -1
    claimed: dict[int, int] = field(default_factory=dict)
    ended: dict[int, tuple[int, Status]] = field(default_factory=dict)


def violations(histories: Histories) -> list[str]:
    """What is wrong, one line each; none when all that is promised was kept."""
    found = list(_unheard_of(histories))
    told: dict[str, _Told] = defaultdict(_Told)
    for event in histories.events:
        found += _step(told[event.task_id], event)
    marks: dict[str, list[Mark]] = defaultdict(list)
    for mark in histories.commands:
        marks[mark.task].append(mark)
    found += _lost(histories)
    for task_id, task in histories.tasks.items():
        found += _agrees(task, told.get(task_id, _Told()))
        found += _ran(task, marks.get(task_id, []), once=task.script in histories.once)
    found += broken_targets(histories)
    for task_id, of_task in marks.items():
        found += _timely(task_id, of_task, told.get(task_id, _Told()), one_clock=histories.one_clock)
    return found


def ended(events: Sequence[Event], scripts: Collection[str]) -> set[str]:
    """The tasks of these scripts that are over by their last event: a record of them may be gone."""
    last = {event.task_id: event for event in events if event.script in scripts}
    return {task_id for task_id, event in last.items() if event.kind in _ENDS}


def _unheard_of(histories: Histories) -> Iterator[str]:
    tried = histories.ids(TRIED) | histories.ids(ACCEPTED)
    for task_id in sorted(set(histories.tasks) - tried):
        if histories.tasks[task_id].parent in tried:
            continue  # what is for several workers is a task for each
        yield f"{task_id}: recorded, but no producer tried to submit it"
    gone = ended(histories.events, histories.forgotten)
    for task_id in sorted({mark.task for mark in histories.commands} - set(histories.tasks) - gone):
        yield f"{task_id}: a command ran for it, but there is no such task"


def _lost(histories: Histories) -> Iterator[str]:
    gone = ended(histories.events, histories.forgotten)
    for task_id in sorted(histories.ids(ACCEPTED) - gone):
        task = histories.tasks.get(task_id)
        if task is None:
            yield f"{task_id}: accepted, and lost"
        elif not task.status.final:
            yield f"{task_id}: accepted, and still {task.status}"


def _step(told: _Told, event: Event) -> Iterator[str]:
    """One outcome, runs without gaps: the events of a task may come in certain orders only."""
    what = f"{event.task_id}: event {event.kind} of run {event.run}"
    following = _STEPS.get((told.state, event.kind))
    if following is None:
        yield f"{what} when the task was {told.state}" + (" (a second outcome)" if event.kind in _ENDS else "")
        return
    expected = told.run + 1 if event.kind == "registered" else told.run
    if event.run != expected:
        yield f"{what} where run {expected} was due"
    told.state, told.run = following, event.run
    at_ms = int(event.id.partition("-")[0])
    if event.kind == "claimed":
        told.claimed[event.run] = at_ms
    if event.kind in _ENDS:
        told.ended[event.run] = (at_ms, event.status)
        if not event.status.final:
            yield f"{what} with status {event.status}"


def _agrees(task: Task, told: _Told) -> Iterator[str]:
    """Record and events are two histories of the same."""
    numbers = [run.number for run in task.runs]
    if numbers != list(range(len(numbers))):
        yield f"{task.id}: its runs are {numbers}"
    if not task.status.final:
        return
    if told.state != "ended":
        yield f"{task.id}: recorded as {task.status}, and after its last event {told.state}"
    for run in task.runs:
        said = told.ended.get(run.number)
        if said is None or said[1] is not run.status:
            yield f"{task.id}: run {run.number} is recorded as {run.status}, its event said {said and said[1]}"
    if len(told.ended) != len(task.runs):
        yield f"{task.id}: {len(task.runs)} runs recorded, {len(told.ended)} ends in the events"


def _ran(task: Task, marks: Sequence[Mark], *, once: bool) -> Iterator[str]:
    starts = Counter(mark.run for mark in marks if mark.kind == START)
    ends = Counter(mark.run for mark in marks if mark.kind == END)
    for run, times in sorted(starts.items()):
        if times > 1:
            yield f"{task.id}: run {run} started {times} times"
    if once and starts.total() > 1:
        yield f"{task.id}: {task.script} must not run twice, and started {starts.total()} times"
    for run in task.runs:
        if run.status is Status.COMPLETED and not task.children and not (starts[run.number] and ends[run.number]):
            yield f"{task.id}: run {run.number} is recorded as completed, and its command did not get to its end"


def _timely(task_id: str, marks: Sequence[Mark], told: _Told, *, one_clock: bool) -> Iterator[str]:
    """No command before its claim, none after the end of its run, and no two of one task at a time.

    Where the store has another clock than the commands only their own times are compared with each other.
    """
    first: dict[int, Mark] = {}
    last: dict[int, Mark] = {}
    for mark in sorted(marks, key=lambda mark: mark.at_us):
        first.setdefault(mark.run, mark)
        last[mark.run] = mark
    for run in sorted(first):
        claimed, ended = told.claimed.get(run), told.ended.get(run)
        if claimed is None or (one_clock and first[run].at_ms < claimed):
            yield f"{task_id}: run {run} started without a claim"
        if not one_clock:
            ended = None
        if ended and first[run].at_ms > ended[0]:
            yield f"{task_id}: run {run} started {first[run].at_ms - ended[0]} ms after its end was recorded"
        elif ended and last[run].at_ms > ended[0]:
            yield f"{task_id}: run {run} was alive {last[run].at_ms - ended[0]} ms after its end was recorded"
        if run + 1 in first and first[run + 1].at_us < last[run].at_us:
            yield f"{task_id}: runs {run} and {run + 1} at the same time"


def report(found: Sequence[str], most: int = 40) -> str:
    shown = [f"  {line}" for line in found[:most]]
    return "\n".join([f"{len(found)} violations:", *shown, *(["  ..."] if len(found) > most else [])])


def summary(tasks: Mapping[str, Task]) -> str:
    """For people: how many tasks ended how."""
    ends = Counter(f"{task.status}/{task.reason}" if task.reason else str(task.status) for task in tasks.values())
    runs = sum(len(task.runs) for task in tasks.values())
    return f"{len(tasks)} tasks, {runs} runs: " + ", ".join(f"{n} {end}" for end, n in ends.most_common())
