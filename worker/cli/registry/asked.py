"""Asked: one call to the registered scripts of a site."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.registry.registry_door import RegistryDoor

_T = TypeVar("_T")


def asked(site: Site, call: Callable[[RegistryDoor], Awaitable[_T]]) -> _T:
    async def main() -> _T:
        async with site.registry() as registry:
            return await call(registry)

    return asyncio.run(main())
