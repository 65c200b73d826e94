"""A site for each module, which declares its scripts in a fixture `api`, and a browser for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.system.conftest import shared_deployment
from tests.system.http_client import Api
from tests.web.browsing import DEADLINE_MS, Visitor, running_browser, visiting

__all__ = ["shared_deployment"]
expect.set_options(timeout=DEADLINE_MS)


@pytest.fixture(scope="module")
def browser(api: Api) -> Iterator[Browser]:
    """After the site, which needs asyncio.run() to begin."""
    with running_browser() as running:
        yield running


@pytest.fixture
def visitor(browser: Browser, api: Api) -> Iterator[Visitor]:
    with visiting(browser, api) as one:
        yield one


@pytest.fixture
def other_visitor(browser: Browser, api: Api) -> Iterator[Visitor]:
    with visiting(browser, api) as one:
        yield one
