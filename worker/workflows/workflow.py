"""Workflow: a definition that was read and checked, ready to be started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.hiding import Hiding
from engine.schema import Schema
from worker.workflows.condition import Condition
from worker.workflows.reference import Reference
from worker.workflows.template import references


class Step(Hiding, frozen=True):
    """`needs` are the steps that have to end before, also those that come from the order of the steps.

    `retries` counts the tasks that may follow a failed one. `inputs`: whose artifacts the command gets.
    """

    HIDDEN = frozenset({"payload"})

    name: str
    script: str
    payload: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    when: Condition | None = None
    stops: bool = True
    retries: int = 0
    timeout_s: float | None = None
    inputs: tuple[str, ...] = ()

    def references(self) -> Iterator[Reference]:
        for _, reference in references(self.payload):
            yield reference
        if self.when:
            yield from self.when.references()


class Workflow(Hiding, frozen=True):
    """`steps` in an order in which each stands behind those that it needs. `document` is the definition as JSON.

    `file` is the operator's own file; None for one that is kept in the store.
    """

    HIDDEN = frozenset({"document"})

    name: str
    steps: tuple[Step, ...]
    document: Mapping[str, Any]
    schema: Schema
    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    file: str | None = None

    def after(self, first: str) -> frozenset[str]:
        """The steps that need it, directly or not."""
        found: set[str] = set()
        for step in self.steps:
            if any(needed == first or needed in found for needed in step.needs):
                found.add(step.name)
        return frozenset(found)
