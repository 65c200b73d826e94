"""Query: a parameter that a route does not know, or that is given twice, is refused and never ignored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from engine.errors import Problem
from engine.schema.shown import pointer, suggestion
from worker.api.problem import ApiError

# Whoever sends more of them finds the rest when these are put right.
_PROBLEMS = 20
# To look for what was meant takes far longer than to see that it is unknown.
_SUGGESTIONS = 3


class KnownParameters:
    """A dependency of every route, behind the one that finds out who asks."""

    def __init__(self) -> None:
        self._known: dict[Callable[..., Any], dict[str, bool]] = {}

    async def __call__(self, request: Request) -> None:
        route = request.scope.get("route")
        if not isinstance(route, APIRoute) or not request.scope["query_string"]:
            return
        known = self._of(route)
        problems: list[Problem] = []
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
            if len(problems) >= _PROBLEMS:
                break
            if name not in known:
                meant = suggestion(name, known) if len(problems) < _SUGGESTIONS else ""
                problems.append(Problem(f"there is no such parameter{meant}", pointer((name,))))
            elif times > 1 and not known[name]:
                problems.append(Problem("it is given more than once", pointer((name,))))
        if problems:
            raise ApiError(400, "invalid-query", "the query has wrong parameters", problems=problems)

    def _of(self, route: APIRoute) -> dict[str, bool]:
        """The names, and whether each may be repeated."""
        if route.endpoint not in self._known:
            fields = [field for field in get_flat_params(route.dependant) if isinstance(field.field_info, Query)]
            self._known[route.endpoint] = {field.alias: "list[" in str(field.field_info.annotation) for field in fields}
        return self._known[route.endpoint]
