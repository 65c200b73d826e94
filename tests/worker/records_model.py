"""What the records should do, in plain Python: the model that the real ones are compared with.

Time is simpler here: a lease of zero has passed, any other has not; what is to come comes when it is said to. A message
that was published counts as lost at once, or, when the model is `patient`, never.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from worker.model.answers import CancelOutcome, Refusal, Registered, ResolveOutcome
from worker.model.status import TRANSITIONS, Status
from worker.model.task import RunLimits

FINISHED = {status for status, following in TRANSITIONS.items() if not following}


class Wanted(Struct, frozen=True):
    """What a task is made of. Of the times: None where there is none, else whether it has passed."""

    content: int
    retries: int = 0
    due: bool | None = None
    start_by: bool | None = None
    deadline: bool | None = None
    priority: int = 0
    key: str | None = None

    @property
    def script(self) -> str:
        return f"script-{self.content}"


@dataclass
class ModelRun:
    status: Status = Status.PENDING
    worker: str | None = None
    held_by: int | None = None
    ended_by: int | None = None
    lease_passed: bool = False
    delayed: bool = False
    due: bool = True


@dataclass
class ModelTask:
    wanted: Wanted
    retries: int
    runs: list[ModelRun]
    created: int
    cancel: bool = False
    hinted: bool = True
    hint_due: bool = False

    @property
    def content(self) -> int:
        return self.wanted.content

    @property
    def run(self) -> ModelRun:
        return self.runs[-1]

    @property
    def final(self) -> bool:
        return self.run.status in FINISHED

    @property
    def too_late(self) -> bool:
        """Whether no run may start any more."""
        return bool(self.wanted.start_by or self.wanted.deadline)

    def is_to_come(self, time: str) -> bool:
        return getattr(self.wanted, time) is False

    @property
    def watched(self) -> bool:
        """Whether a sweep has to look whether its time has passed."""
        if self.run.status is Status.PENDING:
            return self.wanted.start_by is not None or self.wanted.deadline is not None
        return self.run.status is Status.RUNNING and self.wanted.deadline is not None


Place = tuple[int, int, str]  # the most urgent first, then the oldest
CALLED = None  # in the place of those that were handed out


@dataclass
class Model:
    """Claims are numbered in the order in which they are granted. When a task was created the records tell."""

    patient: bool = False
    tasks: dict[str, ModelTask] = field(default_factory=dict)
    claims: list[tuple[str, int]] = field(default_factory=list)
    waiting: dict[str, dict[str, Place | None]] = field(default_factory=dict)
    throttled: dict[str, RunLimits] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)

    def register(self, id: str, wanted: Wanted, created: int) -> tuple[Registered, str]:
        found = id if id in self.tasks else self.named(wanted.script, wanted.key)
        if found is None:
            delayed = wanted.due is False
            hint_due = not self.patient and not delayed
            run = ModelRun(delayed=delayed, due=not delayed)
            self.tasks[id] = ModelTask(wanted, wanted.retries, [run], created, hint_due=hint_due)
            return Registered.CREATED, id
        same = self.tasks[found].content == wanted.content
        return (Registered.SAME if same else Registered.CONFLICT), found

    def in_status(self, *statuses: Status) -> list[str]:
        return [id for id, task in self.tasks.items() if task.run.status in statuses]

    def named(self, script: str, key: str | None) -> str | None:
        """An idempotency key is its script's."""
        mine = (id for id, task in self.tasks.items() if (task.wanted.script, task.wanted.key) == (script, key))
        return next(mine, None) if key else None

    def claim(
        self,
        id: str,
        worker: str,
        passed: bool,
        wanted: Wanted | None,
        limits: RunLimits | None,
        of_script: str | None,
        created: int,
    ) -> Refusal | int:
        """The number of the claim, or why there is none."""
        if id not in self.tasks:
            if wanted is None:
                return Refusal.UNKNOWN
            outcome, _ = self.register(id, wanted, created)
            if outcome is not Registered.CREATED:
                return Refusal.DUPLICATE if outcome is Registered.SAME else Refusal.CONFLICT
        task = self.tasks[id]
        if wanted is not None and task.content != wanted.content:
            return Refusal.CONFLICT
        if of_script not in (None, task.wanted.script):
            return Refusal.CONFLICT
        if task.final:
            return Refusal.FINAL
        if task.run.status is Status.RUNNING:
            return Refusal.BUSY
        if task.too_late:
            self._end(id, Status.EXCEPTION)
            return Refusal.FINAL
        if not task.run.due:
            return Refusal.BUSY
        script = task.wanted.script
        waiting = self.waiting.setdefault(script, {})
        if limits:
            if self._room(script, limits) < 1:
                waiting[id] = (9 - task.wanted.priority, task.created, id)
                self.throttled[script] = limits
                task.hinted = False
                return Refusal.THROTTLED
            waiting.pop(id, None)
            if limits.rate_count:
                self.starts[script] = min(limits.rate_count, self.starts.get(script, 0) + 1)
        self.claims.append((id, len(task.runs) - 1))
        task.run.status, task.run.worker, task.hinted = Status.RUNNING, worker, False
        task.run.held_by, task.run.lease_passed = len(self.claims) - 1, passed
        return len(self.claims) - 1

    def held(self, claim: int) -> ModelRun | None:
        task = self.tasks.get(self.claims[claim][0])
        return task.run if task and task.run.held_by == claim else None

    def renew(self, claim: int, passed: bool) -> tuple[bool, bool, bool]:
        """Whether it is lost, whether a cancel is asked for, whether its deadline has passed."""
        run = self.held(claim)
        if run is None:
            return True, False, False
        run.lease_passed = passed
        task = self.tasks[self.claims[claim][0]]
        return False, task.cancel, bool(task.wanted.deadline)

    def resolve(
        self, claim: int, status: Status, next_run: bool, delayed: bool
    ) -> tuple[ResolveOutcome, int | None, list[str]]:
        """The last is what is to be published."""
        id, number = self.claims[claim]
        run = self.held(claim)
        if run is None:
            task = self.tasks.get(id)
            if task and number < len(task.runs) and task.runs[number].ended_by == claim:
                following = number + 1 if len(task.runs) > number + 1 else None
                fresh = task.run.status is Status.PENDING and len(task.runs) - 1 == following and not task.run.delayed
                return ResolveOutcome.ALREADY, following, [id] if fresh else []
            return ResolveOutcome.STALE, None, []
        run.ended_by = claim
        task = self.tasks[id]
        following = self._end(id, status, next_run and not task.cancel, delayed)
        publish = [id] if following is not None and not delayed else []
        return ResolveOutcome.RECORDED, following, publish + self._hand_out(task.wanted.script, 1)

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
        self._end(id, Status.CANCELLED)
        return CancelOutcome.CANCELLED

    def sweep(self) -> tuple[list[tuple[str, int, str | None, Status]], list[tuple[str, int, Status, bool]], list[str]]:
        """Whose time had passed, what was rescued, and what is to be published."""
        overdue = []
        for id, task in self.tasks.items():
            pending, running = (task.run.status is status for status in (Status.PENDING, Status.RUNNING))
            if (pending and task.too_late) or (running and task.wanted.deadline):
                worker = task.run.worker
                self._end(id, Status.CANCELLED if task.cancel else Status.EXCEPTION)
                overdue.append((id, len(task.runs) - 1, worker, task.run.status))
        publish = []
        for id, task in self.tasks.items():
            if task.run.status is Status.PENDING and task.hinted and task.hint_due:
                task.hint_due = not self.patient
                publish.append(id)
        rescued = []
        for id, task in self.tasks.items():
            if task.run.status is Status.RUNNING and task.run.lease_passed:
                status = Status.CANCELLED if task.cancel else Status.EXCEPTION
                number = len(task.runs) - 1
                following = self._end(id, status, task.retries > 0 and not task.cancel)
                rescued.append((id, number, status, following is not None))
                if following is not None:
                    publish.append(id)
        for script in list(self.throttled):
            waiting = self.waiting[script]
            if not self.patient:
                self.waiting[script] = waiting = {id: place for id, place in waiting.items() if place is not CALLED}
            publish += self._hand_out(script, len(waiting))
            if not waiting:
                del self.throttled[script]
        return overdue, rescued, publish

    def prune(self, script: str | None, besides: str | None) -> set[str]:
        removed = {
            id
            for id, task in self.tasks.items()
            if task.final and task.wanted.script in (script or task.wanted.script,) and task.wanted.script != besides
        }
        for id in removed:
            del self.tasks[id]
        return removed

    def to_come(self) -> list[tuple[str, str]]:
        """The times of tasks that have not passed; those of running tasks more often, since they are rarer."""
        found = []
        for id, task in self.tasks.items():
            if task.run.status is Status.PENDING and not task.run.due:
                found.append((id, "due"))
            if not task.final:
                weight = 1 if task.run.status is Status.PENDING else 5
                found += [(id, name) for name in ("start_by", "deadline") if task.is_to_come(name)] * weight
        return found

    def passes(self, id: str, time: str) -> None:
        task = self.tasks[id]
        if time == "due":
            task.run.due = task.hint_due = True
        elif time == "start_by":
            task.wanted = replace(task.wanted, start_by=True)
        else:
            task.wanted = replace(task.wanted, deadline=True)

    def _room(self, script: str, limits: RunLimits) -> int:
        running = sum(t.wanted.script == script and t.run.status is Status.RUNNING for t in self.tasks.values())
        room = [99]
        if limits.concurrency is not None:
            room.append(limits.concurrency - running)
        if limits.rate_count is not None:
            room.append(limits.rate_count - self.starts.get(script, 0))
        return min(room)

    def _hand_out(self, script: str, most: int) -> list[str]:
        limits = self.throttled.get(script)
        if limits is None:
            return []
        waiting = self.waiting[script]
        called = sum(place is CALLED for place in waiting.values()) if self.patient else 0
        places = sorted((place, id) for id, place in waiting.items() if place is not CALLED)
        publish = []
        for _, id in places[: max(0, min(most, self._room(script, limits) - called))]:
            task = self.tasks.get(id)
            if task is None or task.run.status is not Status.PENDING:
                del waiting[id]
                continue
            waiting[id] = CALLED
            task.hinted, task.hint_due = True, not self.patient
            publish.append(id)
        return publish

    def _end(self, id: str, status: Status, next_run: bool = False, delayed: bool = False) -> int | None:
        task = self.tasks[id]
        assert status in TRANSITIONS[task.run.status]
        task.run.status, task.run.held_by = status, None
        if not next_run or task.too_late:
            task.hinted = False
            if task.run.worker is None:
                self.waiting.get(task.wanted.script, {}).pop(id, None)
            return None
        task.retries = max(0, task.retries - 1)
        task.runs.append(ModelRun(delayed=delayed, due=not delayed))
        task.hinted, task.hint_due = True, not self.patient and not delayed
        return len(task.runs) - 1
