"""Foreign: a page of another site that has a browser send something. Other clients send none of these headers."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import Request

from worker.api.problem import ApiError
from worker.auth.session_proof import is_of_page
from worker.model.access import Principal

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def refuse_foreign(request: Request, allowed: Collection[str]) -> None:
    """Raises ApiError (403). `allowed`: origins whose pages may, besides our own."""
    if request.method not in _SAFE and _foreign(request, allowed):
        raise ApiError(403, "cross-site", "a page of another site may not do that")


def refuse_forged(request: Request, principal: Principal) -> None:
    """Raises ApiError (403): a session speaks for its browser, whoever made that send something; the page says more."""
    if principal.session and request.method not in _SAFE and not is_of_page(request.headers):
        raise ApiError(403, "no-csrf-token", "give the session's token in X-CSRF-Token; GET /session tells it")


def _foreign(request: Request, allowed: Collection[str]) -> bool:
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if origin in allowed:
        return False
    try:
        return urlsplit(origin).netloc != request.headers.get("host", "")
    except ValueError:
        return True
