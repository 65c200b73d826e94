"""Caller: who sends a request, proved for every route but the health checks. An address proves nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from worker.api.context import Context, Here
from worker.api.foreign import refuse_foreign
from worker.api.problem import ApiError
from worker.auth.denied import Denied
from worker.model.access import Principal
from worker.operations.authorise import NotAllowed
from worker.store import StoreError


@dataclass(frozen=True, slots=True)
class Caller:
    """`address` is where the connection comes from: a proxy's, behind a proxy."""

    principal: Principal
    address: str | None

    @property
    def identity(self) -> str:
        """By which what one caller takes of the server is counted."""
        return self.principal.key_id or f"{self.principal.kind}:{self.principal.name}"

    def needs(self, scope: str) -> None:
        """Raises NotAllowed unless the scope is held."""
        if not self.principal.may(scope):
            raise NotAllowed(scope)

    def may_read_script(self, script: str) -> bool:
        return self.principal.may(f"scripts:read:{script}")


async def _caller(request: Request, here: Here) -> Caller:
    refuse_foreign(request, here.settings.api.origins)
    address = request.client.host if request.client else None
    try:
        principal = await here.authenticator.authenticate(dict(request.headers))
    except Denied:
        _limit(here, f"denied:{address}")
        raise
    caller = request.state.caller = Caller(principal, address)
    # Without the store the routes that need it fail by themselves.
    with suppress(StoreError):
        await here.registered.look()
    _limit(here, caller.identity)
    return caller


def _limit(here: Context, who: str) -> None:
    if here.rate_limit:
        wait_s = here.rate_limit.wait_s(who, asyncio.get_running_loop().time())
        if wait_s:
            retry = {"Retry-After": str(wait_s)}
            raise ApiError(429, "too-many-requests", f"more requests than allowed; wait {wait_s} s", headers=retry)


Asker = Annotated[Caller, Depends(_caller)]
