"""Workflows and schedules on the page: a graph that lives, its steps by keyboard, runs ended and repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.web.browsing import Visitor, serious

ANY = {"type": "object", "additionalProperties": True}
GATED = 'while [ ! -e "$OPEN/$TASK_ID.go" ]; do sleep 0.02; done; echo through'
NASTY = "<img src=x onerror=alert(1)>"
STEPS = [
    {"name": "fetch", "script": "gated"},
    {"name": "left", "script": "gated", "needs": ["fetch"]},
    {"name": "right", "script": "quick", "needs": ["fetch"]},
    {"name": "skipped", "script": "quick", "needs": ["right"], "when": "1 == 2"},
    {"name": "join", "script": "quick", "needs": ["left", "right", "fetch"]},
]


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "rateLimit": "none"}}))
    options = {"plugins": {"disabled": ["logHeader"]}, "env": {"OPEN": str(d.home), "PATH": "/bin:/usr/bin"}}
    d.script("gated", GATED, ANY, killGrace="0s", **options)
    d.script("quick", "echo quick", ANY, **options)
    schema = {
        "required": ["file"],
        "properties": {"file": {"type": "string", "description": NASTY}, "big": {"type": "integer"}},
    }
    graph = {"title": NASTY, "description": NASTY, "schema": schema, "steps": STEPS}
    d.file("config/workflows/diamond.yaml", json.dumps(graph))
    d.file(
        "config/schedules/filed.yaml", json.dumps({"script": "quick", "cronExpression": "@daily", "description": NASTY})
    )
    yield from running_api(d)


def state(page: Page, name: str, status: str) -> None:
    expect(page.locator(f".graph-node[data-step={name}] .badge")).to_have_text(status)


def task_of(api: Api, run: str, step: str) -> str:
    steps = {each["name"]: each for each in api.get(f"/workflow-runs/{run}").json["steps"]}
    return str(steps[step]["taskId"])


def test_a_run_is_started_watched_and_read_by_its_graph(
    api: Api, shared_deployment: Deployment, visitor: Visitor
) -> None:
    page = visitor.open("/workflows")
    page.get_by_role("link", name="diamond").click()
    expect(page.locator("h1")).to_have_text(NASTY)
    expect(page.locator(".graph-node")).to_have_count(5)
    assert page.locator(".graph-edge").count() == 6
    form = page.get_by_role("form", name="Start a run")
    expect(form.get_by_text(NASTY)).to_be_visible()
    form.get_by_label("big").fill("12345678901234567890")
    page.keyboard.press("Enter")
    expect(form.get_by_role("alert").first).to_contain_text("this is missing")
    assert serious(page) == []
    form.get_by_label("file").fill(NASTY)
    page.keyboard.press("Enter")
    state(page, "fetch", "running")
    state(page, "join", "waiting")
    run = page.url.rpartition("/")[2]
    expect(page.get_by_label("Payload").last).to_contain_text("12345678901234567890")
    page.locator(".graph-node[data-step=fetch]").focus()
    shared_deployment.file(f"{task_of(api, run, 'fetch')}.go", "")
    state(page, "fetch", "completed")
    state(page, "right", "completed")
    state(page, "skipped", "skipped")
    state(page, "left", "running")
    expect(page.locator(".graph-node[data-step=fetch]")).to_be_focused()
    assert serious(page) == []
    shared_deployment.file(f"{task_of(api, run, 'left')}.go", "")
    state(page, "join", "completed")
    expect(page.locator("h1 + .badge")).to_have_text("completed")
    expect(page.locator(".graph-edge.is-done")).to_have_count(6)
    page.keyboard.press("Enter")
    expect(page.locator(".log-text")).to_have_text("through")
    page.get_by_role("link", name=run).click()
    expect(page.locator("h1")).to_have_text(f"Run {run}")


def test_a_run_is_cancelled_and_repeated_from_what_failed(api: Api, visitor: Visitor) -> None:
    run = api.post("/workflows/diamond/execute", {"payload": {"file": "a"}}).json["runId"]
    page = visitor.open(f"/workflow-runs/{run}")
    state(page, "fetch", "running")
    page.get_by_role("button", name="Cancel").press("Enter")
    page.get_by_role("button", name="Cancel the run").press("Enter")
    expect(page.locator("h1 + .badge")).to_have_text("cancelled")
    page.get_by_role("button", name="Run again from what failed").press("Enter")
    expect(page.locator("h1")).not_to_contain_text(run)
    state(page, "fetch", "running")
    assert api.post(f"/workflow-runs/{page.url.rpartition('/')[2]}/cancel", {}).status < 300
    page.goto(f"{visitor.url}/workflows")
    expect(page.get_by_role("region", name="Runs of workflows").get_by_role("link", name=run)).to_be_visible()
    assert serious(page) == []


def test_a_schedule_says_its_times_in_two_zones_and_is_switched(api: Api, visitor: Visitor) -> None:
    fields = {"script": "quick", "cronExpression": "30 2 * * *", "timezone": "Asia/Tokyo", "description": NASTY}
    assert api.post("/schedules", {"name": "nightly", **fields}).status == 201
    page = visitor.open("/schedules")
    line = page.get_by_role("row").filter(has_text="nightly")
    expect(line).to_contain_text("Asia/Tokyo")
    expect(line.locator("time[datetime]").nth(2)).to_contain_text("2:30:00")
    line.get_by_role("button", name="Disable nightly").press("Enter")
    expect(line.locator(".badge")).to_have_text("disabled")
    line.get_by_role("button", name="Enable nightly").press("Enter")
    expect(line.get_by_role("button", name="Disable nightly")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="filed").get_by_role("button")).to_have_text(["Run now"])
    assert serious(page) == []
    page.get_by_role("link", name="nightly").click()
    expect(page.get_by_text(NASTY)).to_be_visible()
    expect(page.get_by_role("region", name="Next times", exact=True).last.get_by_role("row")).to_have_count(11)
    page.get_by_role("button", name="Run now nightly").click()
    expect(page.get_by_role("region", name="Its tasks").locator(".badge")).to_have_text("completed")
    assert serious(page) == []


def test_who_may_only_read_starts_and_switches_nothing(api: Api, visitor: Visitor) -> None:
    scopes = ["workflows:read", "schedules:read", "tasks:read", "scripts:read"]
    key = api.post("/keys", {"name": "reads", "scopes": scopes}).json["key"]
    page = visitor.open("/workflows/diamond", key)
    expect(page.locator(".graph-node")).to_have_count(5)
    expect(page.get_by_role("button", name="Run", exact=True)).to_have_count(0)
    page.goto(f"{visitor.url}/schedules/filed")
    expect(page.get_by_text(NASTY)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("filed"))).to_have_count(0)
