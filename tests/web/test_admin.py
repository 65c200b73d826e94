"""Registering scripts, keys and the audit, played in a browser by somebody who may."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.system.site import eventually
from tests.web.browsing import Visitor, serious

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "rateLimit": "none"}}))
    d.file("config/allow.yaml", json.dumps({"scripts": [{"name": "hello", "path": "scripts/hello.sh"}]}))
    for name in ("hello.sh", f"{EVIL.replace('/', '')}.sh"):
        d.file(f"scripts/{name}", '#!/bin/sh\necho "hello $*"\n').chmod(0o755)
    yield from running_api(d)


def test_a_file_becomes_a_script_with_parameters_and_runs(visitor: Visitor) -> None:
    page = visitor.open("/scripts")
    page.get_by_role("link", name="Register a script").click()
    expect(page.get_by_role("row").filter(has_text=EVIL)).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Register scripts/hello.sh").click()
    form = page.get_by_role("form", name="Registration")
    expect(form.get_by_label("path")).to_have_value("scripts/hello.sh")
    parameters = form.get_by_role("group", name="parameters")
    parameters.get_by_role("button", name="Add an entry").click()
    parameters.get_by_label("name").fill("LD_PRELOAD")
    parameters.get_by_label("type").select_option("text")
    parameters.get_by_label("as", exact=True).select_option("env")
    form.get_by_role("button", name="Register", exact=True).click()
    summary = form.get_by_role("alert").filter(has_text="problem")
    expect(summary).to_contain_text("/parameters/0/name")
    expect(parameters.get_by_label("name")).to_have_attribute("aria-invalid", "true")
    assert serious(page) == []
    parameters.get_by_label("name").fill("WHO")
    form.get_by_role("button", name="Register", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("hello")
    eventually(lambda: visitor.api.get("/scripts/hello").json["runnable"], "the worker's word")
    page.reload()
    run = page.get_by_role("form", name="Run")
    run.get_by_label("WHO").fill(EVIL)
    run.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/tasks/*")
    task = eventually(lambda: ended(visitor.api, page.url.rsplit("/", 1)[1]), "the end of the task")
    assert (task["status"], task["payload"]) == ("completed", {"WHO": EVIL})


def ended(api: Api, task: str) -> dict[str, object] | None:
    found: dict[str, object] = api.get(f"/tasks/{task}").json
    return found if found["finishedAt"] else None


def test_a_new_version_says_what_changed_and_waits_for_its_approval(visitor: Visitor) -> None:
    body = {"name": "greet", "type": "bash", "body": "echo hi", "parameters": []}
    assert visitor.api.post("/scripts", body).status == 201
    page = visitor.open("/scripts/greet")
    expect(page.get_by_text("not admitted")).to_be_visible()
    page.get_by_role("link", name="Change it").click()
    form = page.get_by_role("form", name="Registration")
    form.get_by_label("body").fill(f"echo {EVIL}")
    form.get_by_role("button", name="Save as a new version").click()
    registration = page.get_by_role("region", name="Registration")
    registration.get_by_role("button", name="What changed in version 2").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text(f'+  "body": "echo {EVIL}"')
    page.keyboard.press("Escape")
    registration.get_by_text("Approve this version").click()
    registration.get_by_label("Approval").fill("no signature")
    registration.get_by_role("button", name="Keep the approval").click()
    expect(registration.get_by_role("alert")).to_have_text(re.compile(".+"))
    assert serious(page) == []
    registration.get_by_role("button", name="Remove it").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page).to_have_url(f"{visitor.url}/scripts")
    assert visitor.api.get("/scripts/greet").status == 404


def make_key(page: Page, name: str, scopes: str) -> str:
    page.get_by_text("Make a key", exact=True).click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Scopes").fill(scopes)
    page.get_by_role("button", name="Make the key").click()
    key = page.get_by_role("dialog").get_by_label("Key", exact=True).input_value()
    page.get_by_role("button", name="I have it").click()
    return key


def test_a_key_is_shown_once_replaced_and_revoked(visitor: Visitor) -> None:
    page = visitor.open("/keys")
    page.get_by_text("Make a key", exact=True).click()
    page.get_by_label("Name", exact=True).fill("ci")
    page.get_by_label("Another role").fill("emperor")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_label("Another role")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Another role")).to_be_focused()
    assert serious(page) == []
    page.reload()
    first = make_key(page, EVIL, "tasks:read scripts:read")
    row = page.get_by_role("row").filter(has_text=EVIL)
    expect(row).to_have_count(1)
    assert first not in page.content()
    assert visitor.api.with_key(first).get("/me").json["name"] == EVIL
    row.get_by_role("button", name="Rotate").click()
    page.get_by_label("The old one works for").fill("0s")
    page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
    second = page.get_by_role("dialog").get_by_label("Key", exact=True).input_value()
    page.get_by_role("button", name="I have it").click()
    assert second != first and visitor.api.with_key(second).get("/me").status == 200
    page.get_by_role("button", name="Revoke", exact=False).first.click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row").filter(has_text="revoked")).not_to_have_count(0)
    assert visitor.api.with_key(second).get("/me").status == 401
    assert serious(page) == []


def test_the_audit_is_filtered_in_the_address_and_read_page_by_page(visitor: Visitor) -> None:
    for _ in range(60):
        assert visitor.api.get("/tasks/" + "x" * 10).status == 404
        assert visitor.api.with_key("penstock_nobody").get("/tasks").status == 401
    page = visitor.open("/audit")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older entries").click()
    expect(page.get_by_role("status").filter(has_text="entries")).not_to_have_text(re.compile("^50 "))
    page.get_by_label("Action").fill("keys")
    page.get_by_label("Action").press("Enter")
    expect(page).to_have_url(re.compile(r"action=keys"))
    expect(rows.filter(has_not_text="keys")).to_have_count(0)
    page.get_by_label("Since").fill("yesterday-ish")
    page.get_by_label("Since").press("Enter")
    expect(page.get_by_label("Since")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("alert")).to_contain_text("since: ")
    assert serious(page) == []
    page.goto("/audit?who=nobody-of-that-name")
    expect(page.get_by_text("No entry matches.")).to_be_visible()
