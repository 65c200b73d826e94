"""Failures: what may be raised below a route, as the error that a caller sees."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from engine.errors import PayloadError, Problem
from engine.schema.shown import pointer
from worker.api.auditing import not_done
from worker.api.problem import ApiError, problem_response, request_id_of
from worker.auth.denied import Denied
from worker.operations.address import NobodyMeant
from worker.operations.authorise import NotAllowed
from worker.operations.submit import Conflict, RunsInPage, ScriptDisabled
from worker.store import InvalidName, StoreUnavailable, UnknownTask

_logger = structlog.get_logger("penstock.api")
# In the scope of a request whose fault was answered and logged; it is raised once more all the same.
ANSWERED = "penstock.answered"
_RETRY_AFTER = {"Retry-After": "1"}
_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}


def answer_failures(app: FastAPI) -> None:
    """From now on every error of the app is a problem document."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    for known in (
        *(PayloadError, Conflict, ScriptDisabled, RunsInPage, Denied, NotAllowed),
        *(UnknownTask, InvalidName, StoreUnavailable, NobodyMeant),
    ):
        app.add_exception_handler(known, _known)
    app.add_exception_handler(Exception, _ours)


def internal_error(error: Exception, request_id: str) -> JSONResponse:
    """Our fault: logged once, here, and nothing of it told."""
    log_fault(error, request_id)
    return problem_response(
        ApiError(500, "internal-error", "a fault of Penstock's own; the server's log has it"), request_id
    )


def log_fault(error: Exception, request_id: str) -> None:
    _logger.error("a request failed", request_id=request_id, exc_info=error)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    request.scope[ANSWERED] = True
    await not_done(request, error, 500, "internal-error")
    return internal_error(error, request_id_of(request))


async def _api_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return await _answered(request, error, error)


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "error")
    problem = ApiError(error.status_code, code, str(error.detail), headers=error.headers)
    return problem_response(problem, request_id_of(request))


async def _invalid_parameters(request: Request, error: Exception) -> JSONResponse:
    """A query parameter or header with a wrong value; a wrong path names nothing that is there."""
    assert isinstance(error, RequestValidationError)
    found = [(tuple(each["loc"]), str(each["msg"])) for each in error.errors()]
    if any(loc[0] == "path" for loc, _ in found):
        return await _answered(request, error, ApiError(404, "not-found", "there is nothing of that name"))
    problems = [Problem(message, pointer(loc[1:])) for loc, message in found]
    problem = ApiError(400, "invalid-query", "the query has wrong parameters", problems=problems)
    return await _answered(request, error, problem)


async def _known(request: Request, error: Exception) -> JSONResponse:
    return await _answered(request, error, _translated(error))


async def _answered(request: Request, error: Exception, problem: ApiError) -> JSONResponse:
    await not_done(request, error, problem.status, problem.code)
    return problem_response(problem, request_id_of(request))


def _translated(error: Exception) -> ApiError:
    match error:
        case PayloadError():
            return ApiError(422, "invalid-payload", "the payload is not valid", problems=error.problems)
        case Conflict():
            return ApiError(409, "conflict", str(error))
        case NobodyMeant():
            return ApiError(409, "no-worker", str(error))
        case ScriptDisabled():
            return ApiError(400, "script-disabled", str(error))
        case RunsInPage():
            return ApiError(400, "browser-only", str(error))
        case Denied():
            return ApiError(401, error.code, str(error), headers={"WWW-Authenticate": "Bearer"})
        case NotAllowed():
            return ApiError(403, "not-allowed", str(error))
        case UnknownTask():
            return ApiError(404, "unknown-task", "there is no such task")
        case InvalidName():
            return ApiError(400, "invalid-query", str(error))
        case _:
            # The error's own text may hold the address of the store.
            return ApiError(503, "store-unavailable", "the store does not answer; try again", headers=_RETRY_AFTER)
