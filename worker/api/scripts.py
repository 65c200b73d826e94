"""Scripts: what may be run, its schema, and whether a payload would be let in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from fastapi import APIRouter, Request

from engine.errors import Problem
from engine.plugin import Prepared
from engine.script.parameters import filled
from worker.api.body import Asked, documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Context, Here
from worker.api.documents import Document
from worker.api.problem import ApiError, OneProblem, documented
from worker.api.script_details import ScriptDetails, details_of
from worker.model.registration import Admission

router = APIRouter(prefix="/scripts", tags=["scripts"])


class ScriptDocument(Document):
    """A declared script. `maxRunTime` in seconds; null: no limit.

    `runnable`: it is enabled, and if it is registered a worker that lives says that it runs this version.
    """

    name: str
    title: str
    description: str
    category: str
    tags: list[str]
    enabled: bool
    queue: str
    max_run_time: float | None
    idempotent: bool
    retries: int
    dry_run: bool
    has_secrets: bool
    command: list[str]
    file: str | None
    source: Literal["file", "registered"]
    version: int | None
    runnable: bool


class AdmissionDocument(Document):
    """What one worker says of the newest version; `why` it runs it, or does not."""

    worker: str
    admits: bool
    why: str


class WholeScript(ScriptDocument, ScriptDetails):
    """A script with its limits. `env` has names and no values; null: no limit.

    `admissions` are what the workers say of a registered script, `digest` what an approval of it is of.
    """

    digest: str | None
    admissions: list[AdmissionDocument]


class ScriptList(Document):
    scripts: list[ScriptDocument]
    total: int


class Validation(Document):
    valid: bool
    errors: list[OneProblem]


class AskedPayload(Asked):
    """`payload` and `parameters` are two names of the same."""

    payload: dict[str, Any] | None = None
    parameters: dict[str, Any] | None = None


@router.get("", responses=documented(400, 401, 403, 429))
async def list_scripts(here: Here, caller: Asker, category: str | None = None, tag: str | None = None) -> ScriptList:
    """The scripts that the caller may read, by name; of one category, with one tag."""
    if not any(caller.may_read_script(name) for name in here.catalog.scripts):
        caller.needs("scripts:read")
    # One question for all of them, and none where nothing is registered.
    said = await here.registered.registry.said() if here.registered.registrations else {}
    found = [
        _document(prepared, here, said.get(prepared.script.name, ()))
        for prepared in here.catalog
        if caller.may_read_script(prepared.script.name)
        and category in (None, prepared.script.category)
        and (tag is None or tag in prepared.script.tags)
    ]
    return ScriptList(scripts=sorted(found, key=lambda script: script.name), total=len(found))


@router.get("/{name}", responses=documented(400, 401, 403, 404, 429))
async def get_script(name: str, here: Here, caller: Asker) -> WholeScript:
    """All that a script declares; its schema has a route of its own. Of a registered one also who runs it."""
    prepared = readable_script(name, here, caller)
    details = details_of(prepared).model_dump()
    if here.catalog.declares(name):
        return WholeScript(**{**_document(prepared, here, ()).model_dump(), **details}, digest=None, admissions=[])
    registration = here.registered.registrations[name]
    said = [each for each in await here.registered.said(name) if each.version == registration.version]
    return WholeScript(
        **{**_document(prepared, here, said).model_dump(), **details},
        digest=registration.digest,
        admissions=[AdmissionDocument(worker=each.worker, admits=each.admits, why=each.why) for each in said],
    )


@router.get("/{name}/schema", responses=documented(400, 401, 403, 404, 429))
async def get_schema(name: str, here: Here, caller: Asker) -> dict[str, Any]:
    """The JSON Schema of the script's payload, with the keys of plugins."""
    return readable_script(name, here, caller).schema.document


@router.post(
    "/{name}/validate",
    responses=documented(400, 401, 403, 404, 413, 415, 422, 429),
    openapi_extra=documented_body(AskedPayload),
)
async def validate(name: str, request: Request, here: Here, caller: Asker) -> Validation:
    """Check a payload. Nothing is run and nothing recorded."""
    prepared = readable_script(name, here, caller)
    asked = await read_body(request, AskedPayload)
    problems = prepared.schema.check(filled(prepared.script.defaults, payload_of(asked)))
    return Validation(valid=not problems, errors=[_problem(problem) for problem in problems])


def readable_script(name: str, here: Context, caller: Caller) -> Prepared:
    """Raises NotAllowed before ApiError (404): who may not read scripts does not learn which there are."""
    caller.needs(f"scripts:read:{name}")
    return known_script(name, here)


def known_script(name: str, here: Context) -> Prepared:
    prepared = here.catalog.get(name)
    if prepared is None:
        raise ApiError(404, "unknown-script", "there is no such script")
    return prepared


def payload_of(asked: AskedPayload) -> dict[str, Any]:
    """Of a body with `payload` or `parameters`; `{}` without either."""
    if asked.payload is not None and asked.parameters is not None:
        raise ApiError(
            422,
            "invalid-body",
            "the body has other content than asked for",
            problems=[Problem("payload and parameters are the same: give one of them", "/parameters")],
        )
    found: dict[str, Any] | None = asked.payload if asked.payload is not None else asked.parameters
    return {} if found is None else found


def _problem(problem: Problem) -> OneProblem:
    return OneProblem(message=problem.message, pointer=problem.pointer)


def _document(prepared: Prepared, here: Context, said: Iterable[Admission]) -> ScriptDocument:
    """`said`: what the workers say of it, of any version."""
    script = prepared.script
    registered = None if here.catalog.declares(script.name) else here.registered.registrations.get(script.name)
    admitted = registered is None or any(each.admits and each.version == registered.version for each in said)
    return ScriptDocument(
        name=script.name,
        title=script.title,
        description=script.description,
        category=script.category,
        tags=list(script.tags),
        enabled=script.enabled,
        queue=script.queue or here.settings.default_queue,
        max_run_time=script.max_run_time_s,
        idempotent=script.idempotent,
        retries=script.retries,
        dry_run="dryRun" in prepared.schema.owners,
        has_secrets=prepared.schema.has_secrets,
        command=list(script.command),
        file=script.file,
        source="registered" if registered else "file",
        version=registered.version if registered else None,
        runnable=script.enabled and admitted,
    )
