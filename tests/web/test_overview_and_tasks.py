"""The overview and the list of tasks, as somebody sees them who has them open while things happen."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.system.site import eventually
from tests.web.browsing import Visitor, serious

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    shared_deployment.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "rateLimit": "none"}}))
    shared_deployment.script("say", "echo hi")
    shared_deployment.script("fail", "exit 1")
    shared_deployment.script("waits", 'read -r line < "$GATE"', env={"GATE": str(shared_deployment.home / "gate")})
    shared_deployment.file("config/schedules/hourly.yaml", json.dumps({"script": "say", "cronExpression": "@hourly"}))
    os.mkfifo(shared_deployment.home / "gate")
    for running in running_api(shared_deployment):
        for number in range(51):
            asked = {"id": f"say-{number:02}", "tags": [EVIL]}
            assert running.post("/scripts/say/execute?async=true", asked).status == 202
        assert running.post("/scripts/fail/execute", {"id": "fails"}).status == 200
        yield running


def submit(api: Api, script: str, id: str) -> None:
    assert api.post(f"/scripts/{script}/execute?async=true", {"id": id}).status == 202


def runs(api: Api, id: str) -> bool:
    return bool(api.get(f"/tasks/{id}").json["status"] == "running")


def test_the_overview_shows_what_came_what_runs_and_what_needs_a_look(visitor: Visitor) -> None:
    page = visitor.open("/")
    expect(page.get_by_role("img", name="Tasks by when they were recorded: 52 in all")).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("region", name="Tasks by when").get_by_role("columnheader")).to_have_text(
        ["From", "completed", "failed"]
    )
    needs = page.get_by_role("region", name="Needs a look", exact=True).first
    expect(needs.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("link", name="hourly")).to_be_visible()
    expect(page.get_by_text("1 worker", exact=True)).to_be_visible()
    assert serious(page) == []
    submit(visitor.api, "waits", "open-1")
    runs_now = page.get_by_role("region", name="Running now", exact=True).first
    expect(runs_now.get_by_role("rowheader")).to_have_text(["waits"])
    page.get_by_label("The last").select_option("1 hour")
    expect(page).to_have_url(f"{visitor.url}/?hours=1")
    assert visitor.api.post("/tasks/open-1/cancel", {}).status == 202
    expect(page.get_by_text("Nothing runs.")).to_be_visible()


def test_filters_and_pages_are_in_the_address_and_the_way_back_is_the_browsers(visitor: Visitor) -> None:
    page = visitor.open("/tasks?script=say")
    expect(page.get_by_text("51 tasks", exact=True)).to_be_visible()
    expect(page.get_by_role("rowheader")).to_have_count(50)
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_role("rowheader")).to_have_text(["say-00"])
    expect(page).to_have_url(re.compile(r"script=say&cursor=\d+$"))
    page.go_back()
    expect(page.get_by_role("rowheader").first).to_have_text("say-50")
    page.get_by_label("Script").fill("")
    page.get_by_label("failed").check()
    expect(page).to_have_url(f"{visitor.url}/tasks?status=failed")
    expect(page.get_by_role("rowheader")).to_have_text(["fails"])
    assert serious(page) == []
    page.get_by_label("failed").uncheck()
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Tasks").click()
    page.keyboard.press("/")
    page.keyboard.type(EVIL.upper() + "x")
    expect(page.get_by_text("No task matches.")).to_be_visible()
    page.keyboard.press("Backspace")
    expect(page.get_by_role("rowheader")).to_have_count(50)
    expect(page.get_by_text("50 shown; how many match was not counted")).to_be_visible()
    page.goto("/tasks?status=nonsense&since=never&cursor=1%0a")
    expect(page.get_by_role("alert")).to_contain_text("cursor")


def test_rows_change_where_they_stand_and_what_is_new_waits_to_be_called(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    api = visitor.api
    submit(api, "waits", "live-1")
    eventually(lambda: runs(api, "live-1"), "a task that runs")
    pages = [visitor.open("/tasks?script=waits&script=say"), other_visitor.open("/tasks?status=running")]
    for page in pages:
        expect(page.get_by_role("rowheader").first).to_have_text("live-1")
    submit(api, "waits", "live-2")
    expect(pages[0].get_by_role("button", name="1 new")).to_be_visible()
    expect(pages[0].get_by_role("rowheader").first).to_have_text("live-1")
    assert api.post("/tasks/live-1/cancel", {}).status == 202
    for page in pages:
        first = page.get_by_role("row").nth(1)
        expect(first).to_contain_text("live-1")
        expect(first).to_contain_text("cancelled")
        expect(first).to_contain_text(re.compile(r"[0-9] m?s"))
        page.get_by_role("button", name="1 new").click()
        expect(page.get_by_role("rowheader").first).to_have_text("live-2")
    expect(pages[0].get_by_role("row").nth(2)).to_contain_text("live-1")
    assert api.post("/tasks/live-2/cancel", {}).status == 202


def test_many_are_cancelled_with_one_question(visitor: Visitor) -> None:
    api = visitor.api
    for number in range(3):
        submit(api, "waits", f"many-{number}")
    page = visitor.open("/tasks?script=waits&status=running&status=pending")
    expect(page.get_by_role("rowheader")).to_have_count(3)
    page.get_by_role("button", name="Select all").click()
    page.get_by_label("Select task many-1").uncheck()
    page.get_by_role("button", name="Cancel 2 tasks").click()
    page.get_by_label("Why").fill(EVIL)
    assert serious(page) == []
    page.get_by_role("button", name="Back").click()
    assert runs(api, "many-1")
    page.get_by_role("button", name="Cancel 2 tasks").click()
    page.get_by_label("Why").fill(EVIL)
    page.get_by_role("dialog").get_by_role("button", name="Cancel 2 tasks").click()
    expect(page.get_by_text("2 cancelled")).to_be_visible()
    for id in ("many-0", "many-2"):
        expect(page.get_by_role("row").filter(has_text=id)).to_contain_text("cancelled")
        assert api.get(f"/tasks/{id}").json["cancel"]["why"] == EVIL
    assert api.get("/tasks/many-1").json["cancel"] is None
    assert api.post("/tasks/many-1/cancel", {}).status == 202


def test_who_may_not_cancel_is_not_asked_and_who_may_see_nothing_is_told(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    keys = [
        visitor.api.post("/keys", {"name": "some", "scopes": scopes}).json["key"]
        for scopes in (["tasks:read", "scripts:read:say"], ["metrics:read"])
    ]
    page = visitor.open("/tasks", keys[0])
    expect(page.get_by_text("51 tasks", exact=True)).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select task say-50")).to_have_count(0)
    page.goto("/tasks?script=fail")
    expect(page.get_by_role("heading", name="Not for this key")).to_be_visible()
    page = other_visitor.open("/", keys[1])
    expect(page.get_by_text("may not see the state of the whole")).to_be_visible()
    page.goto("/tasks")
    expect(page.get_by_role("heading", name="Not for this key")).to_be_visible()
    page.goto("/nowhere/at/all")
    expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()


def test_a_lost_connection_says_so_and_comes_back_without_losing_an_event(
    visitor: Visitor, shared_deployment: Deployment
) -> None:
    page = visitor.open("/tasks?script=waits")
    expect(page.get_by_role("rowheader").first).to_be_visible()
    up = shared_deployment.processes[0]
    server = next(each for each in psutil.Process(up.pid).children() if "--socket" in each.cmdline())
    server.send_signal(signal.SIGSTOP)
    server.send_signal(signal.SIGKILL)
    expect(page.get_by_role("status").filter(has_text="The connection to the server is lost")).to_be_visible()
    eventually(lambda: Api(visitor.api.host, visitor.api.port).get("/healthz").status == 200, "the server again")
    submit(visitor.api, "waits", "after")
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="The connection to the server is lost")).to_have_count(0)
    assert visitor.api.post("/tasks/after/cancel", {}).status == 202
    eventually(lambda: visitor.api.get("/tasks/after").json["status"] == "cancelled", "its end")
