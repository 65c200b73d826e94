"""Caller: who sends a request, proved for every route but the health checks. An address proves nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from worker.api.context import Here
from worker.api.problem import ApiError
from worker.model.access import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is where the connection comes from: a proxy's, behind a proxy."""

    principal: Principal
    address: str | None

    def needs(self, scope: str) -> None:
        """Raises ApiError (403) unless the scope is held."""
        if not self.principal.may(scope):
            raise not_allowed(scope)

    def may_read_script(self, script: str) -> bool:
        return self.principal.may(f"scripts:read:{script}")


def not_allowed(scope: str) -> ApiError:
    return ApiError(403, "not-allowed", f"that needs the scope {scope}")


async def _caller(request: Request, here: Here) -> Caller:
    headers = dict(reversed(request.headers.items()))  # of each the first
    principal = await here.authenticator.authenticate(headers)
    if here.rate_limit:
        name = principal.key_id or f"{principal.kind}:{principal.name}"
        wait_s = here.rate_limit.wait_s(name, asyncio.get_running_loop().time())
        if wait_s:
            retry = {"Retry-After": str(wait_s)}
            raise ApiError(429, "too-many-requests", f"more requests than allowed; wait {wait_s} s", headers=retry)
    return Caller(principal, request.client.host if request.client else None)


Asker = Annotated[Caller, Depends(_caller)]
