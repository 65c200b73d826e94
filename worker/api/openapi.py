"""OpenAPI: the document of all routes, made from their code."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema

from worker.api.caller import Asker
from worker.api.problem import OneProblem, ProblemDocument, documented

router = APIRouter(tags=["openapi"])
_OPEN = frozenset({"/healthz", "/readyz"})
# What any route may answer.
_ANYWHERE = (400, 414, 431, 500, 503, 505)
_FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")


@router.get("/openapi.json", responses=documented(400, 401, 429))
async def get_openapi(request: Request, caller: Asker) -> JSONResponse:
    """This document."""
    return JSONResponse(document(request.app))


def document(app: FastAPI) -> dict[str, Any]:
    """Made once; afterwards the same."""
    if not app.openapi_schema or "x-complete" not in app.openapi_schema["info"]:
        app.openapi_schema = _complete(app.openapi())
    return app.openapi_schema


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    found["info"]["x-complete"] = True
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, ours = models_json_schema(
        [(ProblemDocument, "serialization"), (OneProblem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    schemas.update(ours["$defs"])
    components["securitySchemes"] = {
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    for path, operations in found["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in _OPEN else [{"apiKey": []}, {"bearer": []}]
            answers = operation["responses"]
            for status, answer in documented(*_ANYWHERE, *((408,) if "requestBody" in operation else ())).items():
                answers.setdefault(str(status), answer)
            if "HTTPValidationError" in str(answers.get("422", "")):
                del answers["422"]  # FastAPI's own; ours is 400 for a query and 404 for a path
    for name in _FASTAPI_ERRORS:
        schemas.pop(name, None)
    return found
