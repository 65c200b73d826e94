"""Ranges: bytes of a known number, whole or the one part that was asked for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from worker.api.problem import ApiError

# Several ranges at once are legal and nobody needs them: such a header is passed over, as the RFC allows.
_RANGE = re.compile(r"bytes=(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))\Z")


def ranged(
    request: Request,
    blocks: Callable[[int, int], Iterator[bytes]],
    size: int,
    *,
    close: Callable[[], None],
    media_type: str,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`blocks(start, end)` are read in a thread. `etag`, quoted, is of bytes that never change.

    `close` is called when they are not read. Raises ApiError (416) for a range that lies behind the end.
    """
    # Not as `media_type`: that would name a charset that nobody has told us.
    sent = {"Accept-Ranges": "bytes", "Content-Type": media_type, **(headers or {})}
    if etag:
        sent["ETag"] = etag
        if request.headers.get("if-none-match") in (etag, "*"):
            close()
            return Response(status_code=304, headers=sent)
    found = _RANGE.match(request.headers.get("range", ""))
    if found and request.headers.get("if-range", etag) == etag:
        try:
            start, end = _bounds(found, size)
        except ApiError:
            close()
            raise
        sent["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        status = 206
    else:
        start, end, status = 0, size, 200
    sent["Content-Length"] = str(end - start)
    return StreamingResponse(blocks(start, end), status, headers=sent)


def _bounds(found: re.Match[str], size: int) -> tuple[int, int]:
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:
        raise ApiError(
            416,
            "range-not-satisfiable",
            f"there are {size} bytes",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return start, end
