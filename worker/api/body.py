"""Body: a request's JSON, read as strictly as a payload, then held against the model of what is asked for."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from engine.errors import PayloadError, Problem
from engine.schema import parse_payload
from engine.schema.payload import MAX_DEPTH
from engine.schema.shown import pointer
from worker.api.problem import ApiError

_M = TypeVar("_M", bound=BaseModel)
_JSON = "application/json"


class Asked(BaseModel):
    """What a body may hold: nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


async def read_body(request: Request, model: type[_M]) -> _M:
    """No body at all is `{}`. Raises ApiError: 415 for what is no JSON, 400 for bad JSON, 422 for another content."""
    return _validated(model, await read_object(request))


async def read_object(request: Request) -> dict[str, Any]:
    """The object of a body, whatever is in it, that somebody else holds against a schema; as `read_body`."""
    data = await request.body()
    if not data:
        return {}
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != _JSON:
        raise ApiError(415, "unsupported-media-type", f"the body has to be {_JSON}")
    try:
        # One level more than a payload: that lies in the body. Its size is bounded already.
        return parse_payload(data, max_bytes=len(data), max_depth=MAX_DEPTH + 1)
    except PayloadError as error:
        raise ApiError(
            400, "invalid-json", "the body is not JSON as it is read here", problems=error.problems
        ) from None


def documented_body(model: type[BaseModel], *, example: dict[str, Any] | None = None) -> dict[str, Any]:
    """For a route's `openapi_extra`: FastAPI shall not read the body itself."""
    content: dict[str, Any] = {"schema": model.model_json_schema(by_alias=True)}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"content": {_JSON: content}, "required": False}}


def _validated(model: type[_M], value: dict[str, Any]) -> _M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            Problem(str(each["msg"]), pointer(each["loc"]))
            for each in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ApiError(422, "invalid-body", "the body has other content than asked for", problems=problems) from None
