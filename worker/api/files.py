"""Files: text below the folders of this host that the settings share."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse

from worker.api.caller import Asker, Caller
from worker.api.context import Here
from worker.api.documents import Document
from worker.api.problem import ApiError, documented
from worker.operations.shared_files import (
    NoSharedFile,
    NotText,
    TooLarge,
    folder_of,
    list_all,
    read_shared,
)

router = APIRouter(prefix="/files", tags=["files"])
_ERRORS = documented(400, 401, 403, 404, 429)
_Name = Annotated[str | None, Query(min_length=1, max_length=1024)]


class FileDocument(Document):
    name: str
    size: int
    modified_at: str


class FileList(Document):
    """`complete` is false when there are more than 1,000 entries: not all were looked at."""

    files: list[FileDocument]
    complete: bool


@router.get(
    "",
    response_class=PlainTextResponse,
    responses={**_ERRORS, **documented(413, 415)},
)
async def read_file(here: Here, caller: Asker, name: _Name = None) -> PlainTextResponse:
    """The text of a file below a folder of `api.folders`: `reports/2026/all.txt`. Needs `files:read`."""
    name = _needed(caller, name)
    settings = here.settings.api
    try:
        text = await asyncio.to_thread(read_shared, settings.folders, name, max_bytes=settings.max_file)
    except NoSharedFile as error:
        raise ApiError(404, "unknown-file", str(error)) from None
    except TooLarge as error:
        raise ApiError(413, "too-large", str(error)) from None
    except NotText as error:
        raise ApiError(415, "not-text", str(error)) from None
    return PlainTextResponse(text)


@router.get("/list", responses=_ERRORS)
async def list_files(here: Here, caller: Asker, folder: _Name = None) -> FileList:
    """The files below a folder of `api.folders`, by name; without one those of all that may be read."""
    folders = here.settings.api.folders
    if folder is not None:
        _needed(caller, folder)
    else:
        folders = {name: path for name, path in folders.items() if caller.principal.may(f"files:read:{name}")}
        if not folders:
            caller.needs("files:read")
    try:
        found, complete = await asyncio.to_thread(list_all, folders, folder)
    except NoSharedFile as error:
        raise ApiError(404, "unknown-file", str(error)) from None
    return FileList(files=[FileDocument(**file.document()) for file in found], complete=complete)


def _needed(caller: Caller, name: str | None) -> str:
    """Raises NotAllowed before ApiError: who may not read them does not learn what there is."""
    if name is None:
        caller.needs("files:read")
        raise ApiError(400, "invalid-query", "name the file: ?name=FOLDER/PATH")
    caller.needs(f"files:read:{folder_of(name)}")
    return name
