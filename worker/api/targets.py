"""Targets: the member `target` of a body, one text or a list of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from engine.errors import Problem
from worker.api.problem import ApiError
from worker.model.target import MOST_LABELS, NotATarget, Target, parse_target

_CHARACTERS = 300
_TEXT = {"type": "string", "maxLength": _CHARACTERS}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


AskedTarget = Annotated[
    list[Annotated[str, Field(max_length=_CHARACTERS)]],
    Field(max_length=MOST_LABELS),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "maxItems": MOST_LABELS, "items": _TEXT}]}),
]


def target_of(asked: list[str] | None) -> Target | None:
    """None is for any worker. Raises ApiError (422)."""
    if asked is None:
        return None
    try:
        return parse_target(asked)
    except NotATarget as error:
        problems = [Problem(str(error), "/target")]
        raise ApiError(422, "invalid-body", str(error), problems=problems) from None
