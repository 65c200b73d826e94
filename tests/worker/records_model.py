"""What the records should do, in plain Python: the model that the real ones are compared with.

Time is simpler here: a lease of zero has passed, any other has not; a delayed run is never due.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.model import TRANSITIONS, CancelOutcome, Refusal, Registered, ResolveOutcome, Status

FINISHED = {status for status, following in TRANSITIONS.items() if not following}


@dataclass
class ModelRun:
    status: Status = Status.PENDING
    worker: str | None = None
    held_by: int | None = None
    ended_by: int | None = None
    lease_passed: bool = False
    due: bool = True


@dataclass
class ModelTask:
    content: int
    retries: int
    runs: list[ModelRun] = field(default_factory=lambda: [ModelRun()])
    cancel: bool = False

    @property
    def run(self) -> ModelRun:
        return self.runs[-1]

    @property
    def final(self) -> bool:
        return self.run.status in FINISHED


@dataclass
class Model:
    """Claims are numbered in the order in which they are granted."""

    tasks: dict[str, ModelTask] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    claims: list[tuple[str, int]] = field(default_factory=list)

    def register(self, id: str, content: int, retries: int) -> Registered:
        if id not in self.tasks:
            self.tasks[id] = ModelTask(content, retries)
            return Registered.CREATED
        return Registered.SAME if self.tasks[id].content == content else Registered.CONFLICT

    def claim(self, id: str, worker: str, passed: bool, content: int | None, retries: int) -> Refusal | int:
        """The number of the claim, or why there is none."""
        if id not in self.tasks:
            if content is None:
                return Refusal.UNKNOWN
            self.register(id, content, retries)
        task = self.tasks[id]
        if content is not None and task.content != content:
            return Refusal.CONFLICT
        if task.final:
            return Refusal.FINAL
        if task.run.status is Status.RUNNING or not task.run.due:
            return Refusal.BUSY
        self.claims.append((id, len(task.runs) - 1))
        task.run.status, task.run.worker = Status.RUNNING, worker
        task.run.held_by, task.run.lease_passed = len(self.claims) - 1, passed
        return len(self.claims) - 1

    def held(self, claim: int) -> ModelRun | None:
        task = self.tasks.get(self.claims[claim][0])
        return task.run if task and task.run.held_by == claim else None

    def renew(self, claim: int, passed: bool) -> tuple[bool, bool]:
        """Whether it is lost, and whether a cancel is asked for."""
        run = self.held(claim)
        if run is None:
            return True, False
        run.lease_passed = passed
        return False, self.tasks[self.claims[claim][0]].cancel

    def resolve(self, claim: int, status: Status, next_run: bool, delayed: bool) -> tuple[ResolveOutcome, int | None]:
        id, number = self.claims[claim]
        run = self.held(claim)
        if run is None:
            task = self.tasks.get(id)
            if task and number < len(task.runs) and task.runs[number].ended_by == claim:
                return ResolveOutcome.ALREADY, number + 1 if len(task.runs) > number + 1 else None
            return ResolveOutcome.STALE, None
        run.ended_by = claim
        task = self.tasks[id]
        return ResolveOutcome.RECORDED, self._end(id, status, next_run and not task.cancel, delayed)

    def cancel(self, id: str) -> CancelOutcome:
        task = self.tasks.get(id)
        if task is None:
            return CancelOutcome.UNKNOWN
        if task.final:
            return CancelOutcome.FINAL
        if task.cancel:
            return CancelOutcome.ALREADY
        task.cancel = True
        if task.run.status is Status.RUNNING:
            return CancelOutcome.REQUESTED
        self._end(id, Status.CANCELLED, False, False)
        return CancelOutcome.CANCELLED

    def sweep(self) -> tuple[set[tuple[str, int, Status, bool]], set[tuple[str, int]]]:
        """What was rescued and what is to be published."""
        publish = {
            (id, len(task.runs) - 1)
            for id, task in self.tasks.items()
            if task.run.status is Status.PENDING and task.run.due
        }
        rescued = set()
        for id, task in self.tasks.items():
            if task.run.status is Status.RUNNING and task.run.lease_passed:
                status = Status.CANCELLED if task.cancel else Status.EXCEPTION
                number = len(task.runs) - 1
                following = self._end(id, status, task.retries > 0 and not task.cancel, False)
                rescued.add((id, number, status, following is not None))
                if following is not None:
                    publish.add((id, following))
        return rescued, publish

    def prune(self) -> set[str]:
        removed = set(self.finished)
        for id in removed:
            del self.tasks[id]
        self.finished.clear()
        return removed

    def _end(self, id: str, status: Status, next_run: bool, delayed: bool) -> int | None:
        task = self.tasks[id]
        assert status in TRANSITIONS[task.run.status]
        task.run.status, task.run.held_by = status, None
        if not next_run:
            self.finished.append(id)
            return None
        task.retries = max(0, task.retries - 1)
        task.runs.append(ModelRun(due=not delayed))
        return len(task.runs) - 1
