"""Problem: every error of the API as an RFC 9457 document, with a stable code and all that is wrong at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from engine.errors import PenstockError, Problem

# A foreign text in a message is bounded; who sent it knows the rest.
_MESSAGE_CHARACTERS = 2000


class ApiError(PenstockError):
    """Ends a request. `code` is stable, in kebab-case; `problems` carry JSON pointers into what was sent."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        problems: Iterable[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.problems = tuple(problems)
        self.headers = dict(headers or {})


class OneProblem(BaseModel):
    """One mistake. `pointer`: a JSON pointer into the body, `""` for its root; of a query parameter `/<name>`."""

    model_config = ConfigDict(frozen=True)

    message: str
    pointer: str


class ProblemDocument(BaseModel):
    """An error, by RFC 9457. `error` is stable, `message` and `detail` are for people; `instance` is this request's."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(examples=["urn:penstock:error:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str
    instance: str = Field(examples=["urn:uuid:8d3ac1f0-5a0e-4a2b-9b1a-0e7c2f5d6a10"])
    error: str = Field(examples=["not-found"])
    message: str
    problems: list[OneProblem]


MEDIA_TYPE = "application/problem+json"


def problem_response(error: ApiError, request_id: str) -> JSONResponse:
    message = error.message[:_MESSAGE_CHARACTERS]
    return JSONResponse(
        {
            "type": f"urn:penstock:error:{error.code}",
            "title": _title(error.status),
            "status": error.status,
            "detail": message,
            "instance": f"urn:uuid:{request_id}",
            "error": error.code,
            "message": message,
            "problems": [{"message": p.message, "pointer": p.pointer} for p in error.problems],
        },
        error.status,
        headers=error.headers,
        media_type=MEDIA_TYPE,
    )


def request_id_of(request: Request) -> str:
    found: str = request.scope["penstock.request_id"]
    return found


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these statuses answer with a problem."""
    return {
        status: {
            "description": _title(status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in sorted(statuses)
    }


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
