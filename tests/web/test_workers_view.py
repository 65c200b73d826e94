"""The views of workers: what is shown of one that lives, and what can be asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.web.browsing import Visitor, serious

EVIL = "<b>the disk</b>"


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    settings = {"api": {"port": 0, "rateLimit": "none"}, "worker": {"name": "one", "labels": ["group=web.dev"]}}
    shared_deployment.file("config/penstock.yaml", json.dumps(settings))
    shared_deployment.script("say", "echo hi")
    yield from running_api(shared_deployment)


def test_a_worker_is_shown_drained_with_a_reason_and_taken_up_again(visitor: Visitor) -> None:
    page = visitor.open("/workers")
    expect(page.get_by_role("row").nth(1)).to_contain_text("group=web.dev")
    assert serious(page) == []
    page.get_by_role("link", name="one").click()
    expect(page.get_by_role("heading", name="one online")).to_be_visible()
    expect(page.get_by_role("rowheader", name="say")).to_be_visible()
    page.get_by_role("button", name="Drain").click()
    page.get_by_label("Why").fill(EVIL)
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.get_by_text(EVIL)).to_be_visible()
    expect(page.get_by_role("heading", name="one draining")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="End the drain").click()
    expect(page.get_by_role("heading", name="one online")).to_be_visible()
    page.goto("/workers/nobody")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_who_may_only_look_is_offered_nothing_else(visitor: Visitor) -> None:
    key = visitor.api.post("/keys", {"name": "looks", "scopes": ["workers:read"]}).json["key"]
    page = visitor.open("/workers/one", key)
    expect(page.get_by_role("heading", name="one")).to_be_visible()
    expect(page.get_by_role("button", name="Drain")).to_have_count(0)
