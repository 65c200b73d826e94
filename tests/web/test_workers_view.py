"""The views of workers: what is shown of one that lives, what can be asked of it, and tasks for certain ones."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.system.site import eventually
from tests.web.browsing import Visitor, serious

EVIL = "<b>the disk</b>"


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    settings = {"api": {"port": 0, "rateLimit": "none"}, "worker": {"name": "one", "labels": ["group=web.dev"]}}
    shared_deployment.file("config/penstock.yaml", json.dumps(settings))
    shared_deployment.script("say", "echo hi")
    state = shared_deployment.home / ".penstock"
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        other = Deployment(Path(folder))
        broker = {"url": f"redis+socket://{state}/store/store.sock?virtual_host=0"}
        worker = {"name": "two", "labels": ["group=web.prod"]}
        other.file("config/penstock.yaml", json.dumps({"broker": broker, "stateDir": str(state), "worker": worker}))
        other.script("say", "echo from two; exit 1")
        for running in running_api(shared_deployment):
            other.start("worker")
            eventually(lambda: running.get("/workers/two").status == 200, "the other worker")
            yield running
            other.end()


def test_a_worker_is_shown_drained_with_a_reason_and_taken_up_again(visitor: Visitor) -> None:
    page = visitor.open("/workers")
    expect(page.get_by_role("row").nth(1)).to_contain_text("group=web.dev")
    assert serious(page) == []
    page.get_by_role("table").get_by_role("link", name="one").click()
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


def test_a_target_is_picked_and_the_result_of_each_worker_is_shown(visitor: Visitor) -> None:
    page = visitor.open("/scripts/say")
    form = page.get_by_role("form", name="Run")
    form.get_by_label("Where it runs").select_option("labels")
    form.get_by_label("Labels").fill("group:web.prod")
    expect(form.get_by_text("Meant are two")).to_be_visible()
    form.get_by_label("Labels").fill("group:we")
    expect(form.get_by_text("Nobody is meant now.")).to_be_visible()
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form.get_by_role("listitem")).to_contain_text("no worker is meant by group:we")
    form.get_by_label("Where it runs").select_option("all")
    expect(form.get_by_text("Meant are one, two")).to_be_visible()
    assert serious(page) == []
    form.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Run on all").click()
    expect(page.get_by_text("1 of 2 completed it. It is for all workers.")).to_be_visible()
    rows = page.get_by_role("region", name="What became of it on each worker").get_by_role("row")
    expect(rows.nth(2)).to_contain_text("exit-code")
    page.get_by_role("button", name="Log of two").click()
    expect(page.get_by_text("from two")).to_be_visible()
    assert serious(page) == []
    parent = page.url.rpartition("/")[2]
    page.goto(f"/tasks?parent={parent}&worker=two")
    expect(page.get_by_text("1 task", exact=True)).to_be_visible()
    page.get_by_role("rowheader").get_by_role("link").click()
    page.get_by_role("link", name=parent).click()
    expect(page).to_have_url(re.compile(f"/tasks/{parent}$"))


def test_who_may_not_see_the_workers_may_name_one_all_the_same(visitor: Visitor) -> None:
    key = visitor.api.post("/keys", {"name": "runs", "scopes": ["scripts", "tasks"]}).json["key"]
    page = visitor.open("/scripts/say?target=one", key)
    expect(page.get_by_label("Its name")).to_have_value("one")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("hi", exact=True)).to_be_visible()
