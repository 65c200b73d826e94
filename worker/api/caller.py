"""Caller: who sends a request, proved for every route but the health checks. An address proves nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request
from msgspec import Struct

from worker.api.context import Context, Here
from worker.api.foreign import refuse_foreign, refuse_forged
from worker.api.problem import ApiError
from worker.auth.denied import Denied, TooManyGuesses
from worker.model.access import Principal
from worker.operations.authorise import NotAllowed
from worker.store import StoreError


class Caller(Struct, frozen=True):
    """`address` is where the connection comes from: a proxy's, behind a proxy."""

    principal: Principal
    address: str | None

    @property
    def identity(self) -> str:
        """By which what one caller takes of the server is counted."""
        return self.principal.key_id or f"{self.principal.kind}:{self.principal.name}"

    @property
    def proofs(self) -> tuple[str, ...]:
        """What ends a stream when it is over: the session, and the key."""
        return tuple(each for each in (self.principal.session, self.principal.key_id) if each)

    def needs(self, scope: str) -> None:
        """Raises NotAllowed unless the scope is held."""
        if not self.principal.may(scope):
            raise NotAllowed(scope)

    def may_read_script(self, script: str) -> bool:
        return self.principal.may(f"scripts:read:{script}")


async def prove_caller(request: Request, here: Here) -> Caller:
    """Raises Denied, and ApiError: 403 for what another site's page has sent, 429 for too many requests or guesses."""
    address = request.client.host if request.client else None
    try:
        refuse_foreign(request, here.settings.api.origins)
        principal = await here.authenticator.authenticate(dict(request.headers), address or "")
        refuse_forged(request, principal)
    except TooManyGuesses as error:
        raise _too_many("more guesses at a password than allowed", error.wait_s) from None
    except (Denied, ApiError):
        # Each is written down, and what nobody has to prove anything for must not fill the audit.
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
            raise _too_many("more requests than allowed", wait_s)


def _too_many(what: str, wait_s: int) -> ApiError:
    return ApiError(429, "too-many-requests", f"{what}; wait {wait_s} s", headers={"Retry-After": str(wait_s)})


Asker = Annotated[Caller, Depends(prove_caller)]
