"""Deployment: the parts of a deployment that a command needs, and errors of opening them as failures of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from worker.cli import exit_codes
from worker.cli.door import Away
from worker.cli.failure import Failure, unknown

if TYPE_CHECKING:
    from engine.plugin import Prepared
    from worker.config import Catalog, Settings
    from worker.daemons.wiring import Store


@contextmanager
def store_failures() -> Iterator[None]:
    """Turn what the store may raise into failures with an exit code."""
    from worker.daemons.wiring import NotReachable
    from worker.embedded import EmbeddedError
    from worker.store import InvalidName, StoreError, StoreUnavailable, UnknownTask

    try:
        yield
    except UnknownTask as error:
        raise Failure(exit_codes.NO_INPUT, str(error)) from error
    except InvalidName as error:
        raise Failure(exit_codes.USAGE, str(error)) from error
    except (NotReachable, StoreUnavailable) as error:
        raise Away("the store", str(error)) from error
    except (StoreError, EmbeddedError) as error:
        raise Failure(exit_codes.UNAVAILABLE, str(error)) from error


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The store of the deployment, which has to run."""
    from worker.daemons.wiring import open_store

    with store_failures():
        if settings.embedded and not store_runs(settings):
            raise Away("the store", f"no store runs for {settings.home}: start one with `penstock up`")
        async with open_store(settings) as store:
            yield store


def store_runs(settings: Settings) -> bool:
    """Whether the embedded store runs, asked without the client's patience for servers that come back."""
    from worker.daemons.wiring import store_folder
    from worker.embedded import StoreState, state

    return state(store_folder(settings)) is not StoreState.ABSENT


def script_of(catalog: Catalog, name: str) -> Prepared:
    found = catalog.get(name)
    if found is None:
        raise unknown("script", name, sorted(catalog.scripts))
    return found
