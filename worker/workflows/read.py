"""Read a workflow: from JSON to steps, with every problem at once. Knows no file; places are JSON pointers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engine.errors import DeclarationError, PayloadError, Problem
from engine.plugin import Prepared
from engine.schema import Schema, check_value
from engine.schema.shown import pointer, quoted, suggestion
from engine.script.quantities import parse_duration
from worker.model.workflow_run import STEPS, WORKFLOW_NAME
from worker.workflows.check_payload import payload_problems
from worker.workflows.condition import Condition, parse_condition
from worker.workflows.declaration import WORKFLOW_SCHEMA
from worker.workflows.order import ancestors, ordered
from worker.workflows.reference import Reference, pieces
from worker.workflows.template import texts
from worker.workflows.workflow import Step, Workflow

# As large as a file may be; what comes through the API is bounded before.
MAX_BYTES = 1024 * 1024
_NAME_RULE = "lower-case letters, digits and -, at most 63 of them, a letter or digit in front"
Find = Callable[[str], Prepared | None]


def read_workflow(
    name: str, value: Any, *, scripts: Find | None, names: Iterable[str] = (), file: str | None = None
) -> Workflow:
    """Raises DeclarationError with every problem. `scripts` finds a script, `names` are those that there are.

    Without `scripts` it is one that was checked before: scripts and payloads are not looked at.
    """
    reader = _Reader(scripts, list(names))
    workflow = reader.workflow(name, value, file)
    if workflow is None or reader.problems:
        raise DeclarationError(reader.problems)
    return workflow


@lru_cache(maxsize=1)
def _declaration() -> Schema:
    return Schema.compile(WORKFLOW_SCHEMA, owner="workflow file")


class _Reader:
    def __init__(self, scripts: Find | None, names: list[str]) -> None:
        self._scripts = scripts
        self._names = names
        self.problems: list[Problem] = []

    def _problem(self, path: Iterable[str | int], message: str) -> None:
        self.problems.append(Problem(message, pointer(path)))

    def workflow(self, name: str, value: Any, file: str | None) -> Workflow | None:
        if not WORKFLOW_NAME.match(name):
            self._problem((), f"the name {quoted(name)} is not allowed: {_NAME_RULE}")
        steps = value.get("steps") if isinstance(value, dict) else None
        if isinstance(steps, list) and len(steps) > STEPS:
            # At once: nobody reads ten thousand problems, nor waits for them.
            self._problem(("steps",), f"a workflow has at most {STEPS} steps, and this one has {len(steps)}")
            return None
        try:
            check_value(value, max_bytes=MAX_BYTES)
        except PayloadError as error:
            self.problems.extend(error.problems)
            return None
        self.problems.extend(_declaration().check(value))
        if not isinstance(value, dict):
            return None
        schema = self._schema(value.get("schema", {}))
        found = self._steps(_objects(steps), schema)
        if self.problems or schema is None:
            return None
        return Workflow(
            name=name,
            steps=found,
            document=value,
            schema=schema,
            title=value.get("title", ""),
            description=value.get("description", ""),
            tags=tuple(value.get("tags", ())),
            enabled=value.get("enabled", True),
            file=file,
        )

    def _schema(self, document: Any) -> Schema | None:
        if not isinstance(document, dict):
            return None  # told already
        try:
            return Schema.compile(document, owner="workflow")
        except DeclarationError as error:
            self.problems.extend(Problem(p.message, "/schema" + p.pointer) for p in error.problems)
            return None

    def _steps(self, steps: Sequence[Mapping[str, Any]], schema: Schema | None) -> tuple[Step, ...]:
        names = self._step_names(steps)
        needs = self._needs(steps, names)
        order, cycle = ordered(needs)
        if cycle:
            at = names.index(cycle[0])
            self._problem(("steps", at, "needs"), f"the steps wait for each other: {' -> '.join(map(quoted, cycle))}")
        before = ancestors(needs, order)
        found: dict[str, Step] = {}
        for number, (name, step) in enumerate(zip(names, steps, strict=True)):
            place = ("steps", number)
            earlier = before.get(name)
            # In a cycle nothing comes before anything.
            allowed = earlier if earlier is not None else frozenset(names) - {name}
            found[name] = self._step(name, step, place, needs[name], allowed, names, schema)
        return tuple(found[name] for name in order)

    def _step_names(self, steps: Sequence[Mapping[str, Any]]) -> list[str]:
        """One for each step, all different; what is wrong with them is told."""
        names: list[str] = []
        for number, step in enumerate(steps):
            name = step.get("name")
            if not isinstance(name, str):
                name = f"#{number}"
            elif name in names:
                self._problem(("steps", number, "name"), f"there is a step {quoted(name)} already")
                name = f"#{number}"
            names.append(name)
        return names

    def _needs(self, steps: Sequence[Mapping[str, Any]], names: list[str]) -> dict[str, tuple[str, ...]]:
        if not any("needs" in step for step in steps):
            return {name: (names[at - 1],) if at else () for at, name in enumerate(names)}
        needs: dict[str, tuple[str, ...]] = {}
        for number, (name, step) in enumerate(zip(names, steps, strict=True)):
            given = step.get("needs", ())
            known = []
            for at, needed in enumerate(given if isinstance(given, list) else ()):
                if isinstance(needed, str) and needed in names:
                    known.append(needed)
                elif isinstance(needed, str):
                    self._problem(("steps", number, "needs", at), _unknown("step", needed, names))
            needs[name] = tuple(known)
        return needs

    def _step(
        self,
        name: str,
        step: Mapping[str, Any],
        place: tuple[str | int, ...],
        needs: tuple[str, ...],
        earlier: frozenset[str],
        names: list[str],
        schema: Schema | None,
    ) -> Step:
        payload = step.get("payload", {})
        if not isinstance(payload, dict):
            payload = {}
        self._check_references(payload, (*place, "payload"), earlier, names, schema)
        when = self._when(step.get("when"), (*place, "when"), earlier, names, schema)
        inputs = step.get("inputs", ())
        inputs = [each for each in inputs if isinstance(each, str)] if isinstance(inputs, list) else []
        for at, given in enumerate(inputs):
            if fault := _not_before(given, earlier, names):
                self._problem((*place, "inputs", at), fault)
        self._check_script(step.get("script"), payload, place, schema)
        return Step(
            name=name,
            script=str(step.get("script", "")),
            payload=payload,
            needs=needs,
            when=when,
            stops=step.get("onFailure", "stop") == "stop",
            retries=step.get("retries", 0),
            timeout_s=self._timeout(step.get("timeout"), (*place, "timeout")),
            inputs=tuple(inputs),
        )

    def _check_script(
        self, script: Any, payload: dict[str, Any], place: tuple[str | int, ...], schema: Schema | None
    ) -> None:
        if self._scripts is None or not isinstance(script, str):
            return
        prepared = self._scripts(script)
        if prepared is None:
            self._problem((*place, "script"), _unknown("script", script, self._names))
            return
        inside = pointer((*place, "payload"))
        if not any(problem.pointer.startswith(inside) for problem in self.problems):
            found = payload_problems(payload, prepared, schema)
            self.problems.extend(Problem(p.message, inside + p.pointer) for p in found)

    def _check_references(
        self,
        value: Any,
        place: tuple[str | int, ...],
        earlier: frozenset[str],
        names: list[str],
        schema: Schema | None,
    ) -> None:
        for path, text in texts(value):
            try:
                parts = pieces(text)
            except ValueError as error:
                self._problem((*place, *path), str(error))
                continue
            for part in parts:
                if isinstance(part, Reference) and (fault := _fault(part, earlier, names, schema)):
                    self._problem((*place, *path), fault)

    def _when(
        self,
        text: Any,
        place: tuple[str | int, ...],
        earlier: frozenset[str],
        names: list[str],
        schema: Schema | None,
    ) -> Condition | None:
        if not isinstance(text, str) or not text:
            return None
        try:
            condition = parse_condition(text)
        except ValueError as error:
            self._problem(place, str(error))
            return None
        for reference in condition.references():
            if fault := _fault(reference, earlier, names, schema):
                self._problem(place, fault)
        return condition

    def _timeout(self, value: Any, place: tuple[str | int, ...]) -> float | None:
        if value is None or not isinstance(value, (int, float, str)) or isinstance(value, bool):
            return None
        try:
            found = parse_duration(value)
        except ValueError as error:
            self._problem(place, str(error))
            return None
        if found < 0.001:
            self._problem(place, "expected more than 0 seconds")
        return found


def _objects(steps: Any) -> list[Mapping[str, Any]]:
    """None of them, when one is none: that was told already."""
    right = isinstance(steps, list) and all(isinstance(step, dict) for step in steps)
    return steps if right else []


def _fault(reference: Reference, earlier: frozenset[str], names: list[str], schema: Schema | None) -> str | None:
    if reference.root == "steps":
        return _not_before(reference.step or "", earlier, names)
    if reference.root != "input" or not reference.path or schema is None:
        return None
    name = reference.path[0]
    if not schema.declares(name) and schema.document.get("additionalProperties") is False:
        return f"the workflow's schema has no property {quoted(name)}"
    return None


def _not_before(name: str, earlier: frozenset[str], names: list[str]) -> str | None:
    if name in earlier:
        return None
    if name in names:
        return f"the step {quoted(name)} does not come before this one: name it in `needs`"
    return _unknown("step", name, names)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"there is no {what} {quoted(name)}{suggestion(name, known)}"


def located(problems: Iterable[Problem], locate: Callable[[str, str], Problem]) -> Iterator[Problem]:
    """The same with file, line and column."""
    for problem in problems:
        yield locate(problem.pointer, problem.message)
