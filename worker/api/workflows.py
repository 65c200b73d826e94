"""Workflows: the definitions, and the start of a run."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from engine.errors import DeclarationError, Problem
from engine.schema import dump_payload
from worker.api.auditing import done
from worker.api.body import documented_body, read_body, read_object
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import Document, known_time
from worker.api.problem import ApiError, OneProblem, documented
from worker.api.scripts import AskedPayload, payload_of
from worker.api.workflow_documents import RUNS, WorkflowRunStatus
from worker.model.task import TASK_ID
from worker.model.workflow_run import WORKFLOW_NAME
from worker.store.workflows import TooManyWorkflows, UnknownWorkflow, WorkflowChanged, WorkflowExists
from worker.workflows.declaration import WORKFLOW_SCHEMA
from worker.workflows.definitions import Definition
from worker.workflows.graph import mermaid
from worker.workflows.read import read_workflow
from worker.workflows.start import WorkflowDisabled, check_steps, start
from worker.workflows.workflow import Workflow

router = APIRouter(prefix="/workflows", tags=["workflows"])
WORKFLOWS = "/api/v1/workflows"
_BODY = (400, 401, 403, 404, 409, 413, 415, 422, 429)


class WorkflowDocument(Document):
    """A workflow. `source`: `file` for the operator's own, which cannot be changed here, or `api`.

    `version` counts the changes of one that is kept in the store; of a file it and the times are null.
    """

    name: str
    title: str
    description: str
    tags: list[str]
    enabled: bool
    source: str
    file: str | None
    version: int | None
    created_at: str | None
    created_by: str | None
    updated_at: str | None
    updated_by: str | None
    steps: list[str]
    scripts: list[str]


class WorkflowDetails(WorkflowDocument):
    """With its definition, as it was written, and its graph as Mermaid draws it."""

    definition: dict[str, Any]
    graph: str


class WorkflowList(Document):
    workflows: list[WorkflowDocument]
    total: int


class Checked(Document):
    valid: bool
    errors: list[OneProblem]


class AskedWorkflowRun(AskedPayload):
    """`payload` and `parameters` are two names of the same. The same `id` with the same payload is the same run."""

    id: Annotated[str, Field(pattern=TASK_ID.pattern.removesuffix(r"\Z") + "$", max_length=64)] | None = None


class RunAccepted(Document):
    """The run is recorded. `created` is false for one that was there already, by its id."""

    run_id: str
    workflow: str
    status: WorkflowRunStatus
    created: bool
    poll_url: str


def _documented(schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    """For a route's `openapi_extra`: what a body is said to hold. Definitions are read by their own rules."""
    return {"requestBody": {"content": {"application/json": {"schema": schema}}, "required": required}}


_DEFINITION: dict[str, Any] = {
    **{key: value for key, value in WORKFLOW_SCHEMA.items() if key != "$schema"},
    "properties": {
        "name": {"type": "string", "pattern": f"^{WORKFLOW_NAME.pattern.removesuffix(chr(92) + 'Z')}$"},
        **WORKFLOW_SCHEMA["properties"],
    },
}
_NEW = {**_DEFINITION, "required": ["name", "steps"]}


@router.get("", responses=documented(400, 401, 403, 429))
async def list_workflows(here: Here, caller: Asker) -> WorkflowList:
    """The workflows that the caller may read, by name."""
    found = [one for one in await here.definitions.all() if _may_read(caller, one.workflow.name)]
    if not found:
        caller.needs("workflows:read")
    return WorkflowList(workflows=[WorkflowDocument(**_summary(one)) for one in found], total=len(found))


@router.get("/{name}", responses=documented(400, 401, 403, 404, 429))
async def get_workflow(name: str, here: Here, caller: Asker) -> WorkflowDetails:
    """A workflow with its definition."""
    caller.needs(f"workflows:read:{name}")
    return _details(await _known(name, here))


@router.post(
    "",
    status_code=201,
    response_model=WorkflowDetails,
    responses=documented(*_BODY),
    openapi_extra=_documented(_NEW),
)
async def create_workflow(request: Request, here: Here, caller: Asker) -> JSONResponse:
    """Save a workflow under the `name` in its body. That takes the right to run each of its scripts."""
    document = await read_object(request)
    name = document.pop("name", None)
    if not isinstance(name, str) or not WORKFLOW_NAME.match(name):
        caller.needs("workflows:write")
        problem = Problem("expected lower-case letters, digits and -, at most 63 of them", "/name")
        raise ApiError(422, "invalid-workflow", "the workflow needs a name", problems=[problem])
    caller.needs(f"workflows:write:{name}")
    workflow = _checked(name, document, here, caller)
    if name in here.definitions.files:
        raise ApiError(409, "workflow-exists", f"a file of the deployment declares the workflow {name}")
    try:
        version = await here.definitions.stored.create(name, workflow.document, caller.principal.name)
    except WorkflowExists as error:
        raise ApiError(409, "workflow-exists", str(error)) from None
    except TooManyWorkflows as error:
        raise ApiError(409, "too-many-workflows", str(error)) from None
    return await _saved(workflow, version, 201, request, here, caller)


@router.put(
    "/{name}",
    response_model=WorkflowDetails,
    responses=documented(*_BODY, 412),
    openapi_extra=_documented(_DEFINITION),
)
async def replace_workflow(name: str, request: Request, here: Here, caller: Asker) -> JSONResponse:
    """Save another definition in the place of one. Runs that have begun go on with theirs.

    With `If-Match: "VERSION"` only when it still has that version.
    """
    caller.needs(f"workflows:write:{name}")
    document = await read_object(request)
    if document.pop("name", name) != name:
        problem = Problem("it is another name than that of the path", "/name")
        raise ApiError(422, "invalid-workflow", "a workflow keeps its name", problems=[problem])
    await _known(name, here)
    _refuse_file(name, here)
    workflow = _checked(name, document, here, caller)
    try:
        version = await here.definitions.stored.replace(
            name, workflow.document, caller.principal.name, version=_if_match(request)
        )
    except UnknownWorkflow:
        raise _unknown() from None
    except WorkflowChanged as error:
        raise ApiError(412, "workflow-changed", str(error)) from None
    return await _saved(workflow, version, 200, request, here, caller)


@router.delete("/{name}", status_code=204, response_class=Response, responses=documented(400, 401, 403, 404, 409, 429))
async def delete_workflow(name: str, request: Request, here: Here, caller: Asker) -> Response:
    """Forget a workflow. Its runs go on, and stay to be read."""
    caller.needs(f"workflows:write:{name}")
    await _known(name, here)
    _refuse_file(name, here)
    if not await here.definitions.stored.delete(name):
        raise _unknown()
    await done(request, here, caller, name, status=204)
    return Response(status_code=204)


@router.post(
    "/{name}/check",
    responses=documented(400, 401, 403, 404, 413, 415, 422, 429),
    openapi_extra=_documented({"type": "object"}, required=False),
)
async def check(name: str, request: Request, here: Here, caller: Asker) -> Checked:
    """Check a definition as saving it would, or the saved one when the body is empty. Nothing is saved."""
    caller.needs(f"workflows:read:{name}")
    document = await read_object(request)
    document.pop("name", None)
    if not document:
        document = dict((await _known(name, here)).workflow.document)
    try:
        read_workflow(name, document, scripts=here.catalog.get, names=_readable_scripts(here, caller))
    except DeclarationError as error:
        found = [OneProblem(message=problem.message, pointer=problem.pointer) for problem in error.problems]
        return Checked(valid=False, errors=found)
    return Checked(valid=True, errors=[])


@router.post(
    "/{name}/execute",
    status_code=202,
    response_model=RunAccepted,
    responses=documented(*_BODY),
    openapi_extra=documented_body(AskedWorkflowRun, example={"payload": {}}),
)
async def execute_workflow(name: str, request: Request, here: Here, caller: Asker) -> JSONResponse:
    """Start a run. That takes the right to start the workflow, and to run each of its scripts."""
    caller.needs(f"workflows:execute:{name}")
    workflow = (await _known(name, here)).workflow
    asked = await read_body(request, AskedWorkflowRun)
    payload = dump_payload(payload_of(asked))

    async def begin() -> JSONResponse:
        try:
            started = await start(
                workflow,
                payload,
                runs=here.workflow_runs,
                driver=here.driver,
                find=here.catalog.get,
                principal=caller.principal,
                trigger="api",
                address=caller.address,
                run_id=asked.id,
            )
        except WorkflowDisabled as error:
            raise ApiError(409, "workflow-disabled", str(error)) from None
        await done(request, here, caller, name, status=202, digest=started.digest, detail=started.run_id)
        return await accepted(started.run_id, name, started.created, here)

    # A task of its own: who goes away in the middle leaves no half of it.
    return await asyncio.shield(asyncio.get_running_loop().create_task(begin()))


async def accepted(run_id: str, workflow: str, created: bool, here: Context) -> JSONResponse:
    run = await here.workflow_runs.get(run_id)
    where = f"{RUNS}/{run_id}"
    answer = RunAccepted(
        run_id=run_id,
        workflow=workflow,
        status=run.status.value if run else "pending",
        created=created,
        poll_url=where,
    )
    return JSONResponse(answer.model_dump(), 202, headers={"Location": where})


def _checked(name: str, document: dict[str, Any], here: Context, caller: Caller) -> Workflow:
    """Raises ApiError with every problem; NotAllowed: nobody saves what they might not run."""
    try:
        workflow = read_workflow(name, document, scripts=here.catalog.get, names=_readable_scripts(here, caller))
    except DeclarationError as error:
        raise ApiError(422, "invalid-workflow", "the workflow cannot be saved", problems=error.problems) from None
    check_steps(workflow, caller.principal, here.catalog.get)
    return workflow


def _readable_scripts(here: Context, caller: Caller) -> list[str]:
    return [name for name in here.catalog.scripts if caller.may_read_script(name)]


async def _saved(
    workflow: Workflow, version: int, status: int, request: Request, here: Context, caller: Caller
) -> JSONResponse:
    digest = hashlib.sha256(dump_payload(workflow.document)).hexdigest()
    await done(request, here, caller, workflow.name, status=status, digest=digest, detail=f"version {version}")
    found = await here.definitions.get(workflow.name) or Definition(workflow)
    headers = {"Location": f"{WORKFLOWS}/{workflow.name}", "ETag": f'"{version}"'}
    return JSONResponse(_details(found).model_dump(), status, headers=headers)


def _if_match(request: Request) -> int | None:
    text = request.headers.get("if-match")
    if text is None or text == "*":
        return None
    number = text.strip('"')
    if not (number.isascii() and number.isdecimal() and len(number) < 15):
        raise ApiError(412, "workflow-changed", "If-Match names no version of the workflow")
    return int(number)


async def _known(name: str, here: Context) -> Definition:
    found = await here.definitions.get(name)
    if found is None:
        raise _unknown()
    return found


def _unknown() -> ApiError:
    return ApiError(404, "unknown-workflow", "there is no such workflow")


def _refuse_file(name: str, here: Context) -> None:
    if name in here.definitions.files:
        raise ApiError(409, "read-only", f"the workflow {name} is a file of the deployment, and changed there")


def _may_read(caller: Caller, name: str) -> bool:
    return caller.principal.may(f"workflows:read:{name}")


def _summary(definition: Definition) -> dict[str, Any]:
    workflow, stored = definition.workflow, definition.stored
    return {
        "name": workflow.name,
        "title": workflow.title,
        "description": workflow.description,
        "tags": list(workflow.tags),
        "enabled": workflow.enabled,
        "source": "file" if stored is None else "api",
        "file": workflow.file,
        "version": stored.version if stored else None,
        "created_at": known_time(stored.created_at) if stored else None,
        "created_by": stored.created_by if stored else None,
        "updated_at": known_time(stored.updated_at) if stored else None,
        "updated_by": stored.updated_by if stored else None,
        "steps": [step.name for step in workflow.steps],
        "scripts": sorted({step.script for step in workflow.steps}),
    }


def _details(definition: Definition) -> WorkflowDetails:
    workflow = definition.workflow
    return WorkflowDetails(**_summary(definition), definition=dict(workflow.document), graph=mermaid(workflow))
