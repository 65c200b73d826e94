"""A browser on a real site: pages whose every complaint is a failure, log-in without typing, and axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.system.http_client import BASE, Api
from tests.system.installed import installed

# What a test waits for at most, in milliseconds.
DEADLINE_MS = 30_000
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# The browser itself writes down every answer above 399, which may be what a test is about.
_OF_THE_NETWORK = "Failed to load resource: "


def _left_out(why: str) -> NoReturn:
    pytest.skip(f"no browser: {why}")


def chromium() -> Path:
    def find() -> Path | None:
        found = shutil.which("chromium")
        return Path(found) if found else None

    return installed("chromium", find, _left_out, within_s=110)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """While it runs asyncio.run() cannot be used in this thread: make what you need before, or ask the API."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """One person's browser: cookies of its own. `complaints`: what its pages wrote to the console, and raised."""

    api: Api
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.api.host}:{self.api.port}"

    def page(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(DEADLINE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def log_in(self, key: str | None = None) -> None:
        """As who holds the key, the one that may do everything unless told otherwise; without the page."""
        headers = {"X-API-Key": key or self.api.key or ""}
        answer = self.context.request.post(f"{self.url}{BASE}/session", headers=headers)
        assert answer.status == 201, answer.text()

    def open(self, path: str, key: str | None = None) -> Page:
        """Logged in, at that path."""
        self.log_in(key)
        page = self.page()
        page.goto(self.url + path)
        return page

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_OF_THE_NETWORK):
            self.complaints.append(f"{message.type}: {message.text}")


@contextmanager
def visiting(browser: Browser, api: Api, **options: object) -> Iterator[Visitor]:
    """`options` are those of a browser context. At the end nothing may have been complained about."""
    context = browser.new_context(base_url=f"http://{api.host}:{api.port}", **options)  # type: ignore[arg-type]
    visitor = Visitor(api, context)
    try:
        yield visitor
    finally:
        context.close()
    assert visitor.complaints == []


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people from using the page, a line each."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
