"""App: the routes of the API behind the guard. Knows no server and no settings but those of the API."""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from worker.api import (
    audit,
    commands,
    events,
    execute,
    executions,
    files,
    health,
    history,
    keys,
    me,
    metrics,
    openapi,
    registry,
    schedules,
    scripts,
    session,
    status,
    stream,
    tasks,
    workers,
    workflow_runs,
    workflows,
)
from worker.api.caller import prove_caller
from worker.api.context import Context
from worker.api.failures import answer_failures
from worker.api.guard import Guard
from worker.api.measured import Measured
from worker.api.problem import ProblemDocument
from worker.api.query import KnownParameters

BASE = "/api/v1"


def make_api(context: Context) -> ASGIApp:
    settings = context.settings.api
    app = FastAPI(
        title="Penstock",
        version="1",
        summary="Run declared scripts, and see what became of them.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.context = context
    answer_failures(app)
    known = Depends(KnownParameters())
    app.include_router(health.router, dependencies=[known])
    # Nothing is done for those who have not proved who they are, not even to tell them what is wrong.
    app.include_router(metrics.router, dependencies=[Depends(prove_caller), known])
    api = APIRouter(prefix=BASE, dependencies=[Depends(prove_caller), known])
    for router in (
        # Before the scripts: `available` is no script's name.
        registry.router,
        scripts.router,
        execute.router,
        tasks.router,
        executions.router,
        commands.router,
        files.router,
        schedules.router,
        status.router,
        workers.router,
        keys.router,
        audit.router,
        history.router,
        me.router,
        session.router,
        openapi.router,
        events.router,
        workflows.router,
        workflow_runs.router,
    ):
        api.include_router(router)
    for prefix in ("/tasks", "/executions"):
        api.include_router(stream.router, prefix=prefix)
    app.include_router(api)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Location", "Retry-After", "X-Request-ID"],
        )
    return Measured(Guard(app, settings), context.meters)


__all__ = ["BASE", "ProblemDocument", "make_api"]
