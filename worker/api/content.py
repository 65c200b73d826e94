"""Content: the log, the result and the artifacts of a task."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from engine.errors import PayloadError, Problem
from engine.log.index import Stretch, read_index
from engine.log.record import Source
from engine.schema import parse_payload
from engine.schema.payload import MAX_DEPTH
from worker.api.caller import Asker
from worker.api.context import Context, Here
from worker.api.documents import ArtifactDocument, Document, artifacts
from worker.api.log_view import LogView
from worker.api.problem import ApiError, documented
from worker.api.ranges import ranged
from worker.api.readable import readable_task
from worker.model.status import FINAL
from worker.model.task import ArtifactRecord, Run, Task
from worker.operations.logs import open_log, viewed

_BLOCK = 256 * 1024
# A result is for programs that wait for it; what is larger belongs into an artifact that is downloaded.
RESULT_BYTES = 1024 * 1024
_RESULT = "result.json"
# What a browser shows and never runs. All else it has to store.
_INLINE = frozenset(
    {"text/plain", "application/json", "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"}
)
_SANDBOX = {"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'"}
# Shown in a frame of the page: no script, no form, nothing loaded, and an origin of its own, so that whatever a command
# wrote into it reads neither the page nor its session.
_PREVIEWED = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})
_PREVIEW = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}

RunNumber = Annotated[int | None, Query(alias="run", ge=0, le=10**6, description="The newest unless given.")]
_ERRORS = documented(400, 401, 403, 404, 416, 429)
# With whatever type it was found to have.
_BYTES: dict[str, Any] = {"*/*": {"schema": {}}}
_SAME = {"description": "It is what `If-None-Match` names."}
_OCTETS: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_TEXT: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}


class ArtifactList(Document):
    task_id: str
    run_id: int
    artifacts: list[ArtifactDocument]


class Result(Document):
    """`source`: `artifact` for `artifacts/result.json`, `stdout` for the last line there that is JSON."""

    task_id: str
    run_id: int
    source: Literal["artifact", "stdout"]
    result: Any


async def get_log(
    task_id: str,
    request: Request,
    here: Here,
    caller: Asker,
    number: RunNumber = None,
    stream: Annotated[Source | None, Query(description="Only what came from there.")] = None,
    tail: Annotated[int | None, Query(ge=0, le=10**6, description="Only so many lines, the last ones.")] = None,
) -> Response:
    """The log of a run as text. Of one that lasts: what there is of it now, at most the newest 4 MiB.

    Lines of stderr begin with `[worker:error] `. `Penstock-Lost-Bytes` says how many bytes are missing.
    """
    task = await readable_task(task_id, here, caller)
    run = run_of(task, number)
    view = await log_of(task, run, here, stream)
    first = 0 if tail is None else await asyncio.to_thread(view.last_lines, tail)
    etag = f'"{task.id}-{run.number}-{run.finished_at}-{stream}-{tail}"' if run.finished_at else None
    return ranged(
        request,
        lambda start, end: view.blocks(first + start, first + end),
        view.size - first,
        close=view.close,
        media_type="text/plain; charset=utf-8",
        etag=etag,
        headers={**_SANDBOX, "Penstock-Lost-Bytes": str(view.lost)},
    )


async def get_log_index(task_id: str, here: Here, caller: Asker, number: RunNumber = None) -> Response:
    """When and from where each stretch of a log came, of a run that has ended: 16 bytes each, little-endian.

    Milliseconds since the epoch (8 bytes), length in bytes (4), source (1: 0 stdout, 1 stderr, 2 worker), 3 of zero.
    """
    task = await readable_task(task_id, here, caller)
    run = run_of(task, number)
    if run.status not in FINAL:
        raise ApiError(409, "not-final", f"the run is {run.status.value}")
    try:
        data = await asyncio.to_thread(_index_of, task, run, here)
    except FileNotFoundError:
        data = (await viewed(here.live_log, task.id, run.number)).index
        if run.log_bytes and not data:
            raise ApiError(404, "log-not-here", "nothing is kept of which line came from where") from None
    return Response(data, media_type="application/octet-stream", headers=_SANDBOX)


async def get_result(task_id: str, here: Here, caller: Asker, number: RunNumber = None) -> Result:
    """What the command reported: `artifacts/result.json`, else the last line of its stdout that is JSON."""
    task = await readable_task(task_id, here, caller)
    run = run_of(task, number)
    if run.status not in FINAL:
        raise ApiError(409, "not-final", f"the run is {run.status.value}")
    for artifact in run.artifacts:
        if artifact.name == _RESULT:
            value = await asyncio.to_thread(_artifact_result, here, task, run, artifact)
            return Result(task_id=task.id, run_id=run.number, source="artifact", result=value)
    view = await log_of(task, run, here, "stdout")
    value = await asyncio.to_thread(_stdout_result, view)
    return Result(task_id=task.id, run_id=run.number, source="stdout", result=value)


async def list_artifacts(task_id: str, here: Here, caller: Asker, number: RunNumber = None) -> ArtifactList:
    """The artifacts of a run, by name."""
    task = await readable_task(task_id, here, caller)
    run = run_of(task, number)
    return ArtifactList(task_id=task.id, run_id=run.number, artifacts=artifacts(run.artifacts))


async def get_artifact(
    task_id: str,
    name: str,
    request: Request,
    here: Here,
    caller: Asker,
    number: RunNumber = None,
    preview: Annotated[bool, Query(description="HTML and SVG inline, to be shown in a frame.")] = False,
) -> Response:
    """An artifact's bytes. What a browser would run is an attachment; as a preview it is shown without scripts."""
    task = await readable_task(task_id, here, caller)
    run = run_of(task, number)
    for artifact in run.artifacts:
        if artifact.name == name:
            break
    else:
        raise ApiError(404, "unknown-artifact", "the run has no such artifact")
    file = await asyncio.to_thread(_open_artifact, here, task, run, artifact)
    previewed = preview and artifact.content_type in _PREVIEWED
    shown = "inline" if previewed or artifact.content_type in _INLINE else "attachment"
    return ranged(
        request,
        lambda start, end: _blocks(file, start, end),
        artifact.size,
        close=file.close,
        media_type=artifact.content_type,
        etag=f'"{artifact.sha256}"',
        headers={
            **(_PREVIEW if previewed else _SANDBOX),
            "Content-Disposition": disposition(shown, name.rpartition("/")[2]),
        },
    )


def add_content(to: APIRouter) -> None:
    """The routes below `/{task_id}` that read what a run has left."""
    to.add_api_route(
        "/{task_id}/log",
        get_log,
        methods=["GET"],
        response_class=Response,
        responses={
            200: {"content": _TEXT},
            206: {"content": _TEXT, "description": "A part of it."},
            304: _SAME,
            **_ERRORS,
        },
    )
    to.add_api_route(
        "/{task_id}/log/index",
        get_log_index,
        methods=["GET"],
        response_class=Response,
        responses={200: {"content": _OCTETS}, **documented(400, 401, 403, 404, 409, 429)},
    )
    to.add_api_route(
        "/{task_id}/result",
        get_result,
        methods=["GET"],
        responses=documented(400, 401, 403, 404, 409, 413, 429),
    )
    to.add_api_route(
        "/{task_id}/artifacts", list_artifacts, methods=["GET"], responses=documented(400, 401, 403, 404, 429)
    )
    to.add_api_route(
        "/{task_id}/artifacts/{name:path}",
        get_artifact,
        methods=["GET"],
        response_class=Response,
        responses={
            200: {"content": _BYTES},
            206: {"content": _BYTES, "description": "A part of it."},
            304: _SAME,
            **_ERRORS,
        },
    )


def run_of(task: Task, number: int | None) -> Run:
    if number is None:
        return task.runs[-1]
    for run in task.runs:
        if run.number == number:
            return run
    raise ApiError(404, "unknown-run", "the task has no such run")


async def log_of(task: Task, run: Run, here: Context, source: Source | None = None) -> LogView:
    """Raises ApiError (404) when it is kept elsewhere."""
    kept: ApiError | None = None
    if run.status in FINAL:
        try:
            return await asyncio.to_thread(_kept_log, task, run, here, source)
        except ApiError as error:
            kept = error
    view = await viewed(here.live_log, task.id, run.number)
    if kept and not view.chunks:
        raise kept
    data = b"".join(chunk.data for chunk in view.chunks if source in (None, chunk.source))
    return LogView(io.BytesIO(data), [(0, len(data))], lost=view.lost_bytes)


def disposition(kind: str, name: str) -> str:
    """RFC 6266: the name in ASCII for old clients, and exactly for the others."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._- ") else "_" for char in name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _kept_log(task: Task, run: Run, here: Context, source: Source | None) -> LogView:
    try:
        file = open_log(here.files, task.id, run)
    except FileNotFoundError:
        if run.log_bytes:
            raise ApiError(404, "log-not-here", "the log is kept where its worker ran, or was removed") from None
        return LogView(io.BytesIO(), [])
    if source is None:
        return LogView.whole(file)
    try:
        return LogView.of_source(file, _stretches(task, run, here), source)
    except FileNotFoundError:
        file.close()
        raise ApiError(404, "log-not-here", "nothing is kept of which line came from where") from None


def _stretches(task: Task, run: Run, here: Context) -> list[Stretch]:
    return list(read_index(io.BytesIO(_index_of(task, run, here))))


def _index_of(task: Task, run: Run, here: Context) -> bytes:
    """Raises FileNotFoundError."""
    if run.log:
        return bytes.fromhex(run.log.index)
    with here.files.run(task.id, run.number).open_log_index() as index:
        return index.read()


def _open_artifact(here: Context, task: Task, run: Run, artifact: ArtifactRecord) -> BinaryIO:
    try:
        file = here.files.run(task.id, run.number).open(artifact.name)
    except FileNotFoundError:
        raise ApiError(404, "artifact-not-here", "the artifact is kept where its worker ran, or was removed") from None
    if os.fstat(file.fileno()).st_size != artifact.size:
        file.close()
        raise ApiError(404, "artifact-not-here", "the artifact is not what was recorded")
    return file


def _artifact_result(here: Context, task: Task, run: Run, artifact: ArtifactRecord) -> Any:
    if artifact.size > RESULT_BYTES:
        raise ApiError(413, "too-large", f"{_RESULT} has more than {RESULT_BYTES} bytes: download it as an artifact")
    with _open_artifact(here, task, run, artifact) as file:
        try:
            return _json(file.read())
        except PayloadError:
            raise ApiError(404, "no-result", f"{_RESULT} is not JSON as it is read here") from None


def _stdout_result(view: LogView) -> Any:
    try:
        text = view.tail(RESULT_BYTES)
    finally:
        view.close()
    for line in reversed(text.splitlines()[-1000:]):
        try:
            return _json(line)
        except PayloadError:
            continue
    raise ApiError(404, "no-result", "the run has left no result.json, and no line of its stdout is JSON")


def _json(data: bytes) -> Any:
    """As strict as a payload, of any type: what is let through can be written as JSON again. Raises PayloadError."""
    found = parse_payload(b'{"":' + data + b"}", max_bytes=len(data) + 5, max_depth=MAX_DEPTH + 1)
    if len(found) != 1:
        raise PayloadError([Problem("more than one value")])
    return found[""]


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end and (block := file.read(min(_BLOCK, end - start))):
            yield block
            start += len(block)
