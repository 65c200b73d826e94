"""Session: a browser exchanges its proof for a cookie, so that the page need not keep a key."""

from __future__ import annotations

import secrets
from datetime import timedelta

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from worker.api.auditing import done
from worker.api.body import Asked as AskedBody
from worker.api.body import documented_body, read_body
from worker.api.caller import Asker, Caller
from worker.api.context import Here
from worker.api.me import Me, facts_of
from worker.api.problem import documented
from worker.auth.session_proof import cookie_name, session_in
from worker.model.session import LIFETIME_S, RANDOM_BYTES, csrf_token

router = APIRouter(prefix="/session", tags=["session"])


class SessionDocument(Me):
    """Who is logged in. `csrfToken` goes along as X-CSRF-Token with whatever changes something; null without a session,
    for who proves to be somebody with each call."""

    csrf_token: str | None


class AskedNothing(AskedBody):
    """All that is asked for is in the proof."""


@router.post(
    "",
    status_code=201,
    response_model=SessionDocument,
    responses=documented(400, 401, 403, 413, 415, 422, 429, 503),
    openapi_extra=documented_body(AskedNothing),
)
async def begin_session(request: Request, here: Here, caller: Asker) -> JSONResponse:
    """Log in, with an API key or as the bootstrap admin: 12 hours at most, in a cookie that no script can read."""
    await read_body(request, AskedNothing)
    text = await here.sessions.begin(caller.principal, secrets.token_bytes(RANDOM_BYTES))
    # The browser forgets the one that it had; nobody else may go on with it.
    if before := session_in(request.headers):
        here.streams.end(await here.sessions.forget(before))
    await done(request, here, caller, caller.principal.name, status=201)
    answer = JSONResponse(_document(caller, text).model_dump(mode="json"), 201)
    _set_cookie(request, answer, text, timedelta(seconds=LIFETIME_S))
    return answer


@router.get("", responses=documented(400, 401, 429))
async def get_session(request: Request, caller: Asker) -> SessionDocument:
    """Who is logged in, and the token of the session. Any proof will do."""
    return _document(caller, session_in(request.headers) if caller.principal.session else None)


@router.delete("", status_code=204, response_class=Response, responses=documented(400, 401, 403, 429, 503))
async def end_session(request: Request, here: Here, caller: Asker) -> Response:
    """Log out. Who has proved to be somebody by other means ends nothing."""
    await here.sessions.end(caller.principal)
    if caller.principal.session:
        here.streams.end(caller.principal.session)
    await done(request, here, caller, caller.principal.name, status=204)
    answer = Response(status_code=204)
    _set_cookie(request, answer, "", timedelta())
    return answer


def _document(caller: Caller, text: str | None) -> SessionDocument:
    return SessionDocument(**facts_of(caller.principal), csrf_token=csrf_token(text) if text else None)


def _set_cookie(request: Request, answer: Response, text: str, lifetime: timedelta) -> None:
    # A proxy speaks TLS for us, and its browser says so: then the cookie never travels without.
    secure = request.headers.get("origin", "").startswith("https://")
    answer.set_cookie(
        cookie_name(request.headers),
        text,
        max_age=int(lifetime.total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="strict",
    )
