"""The form that is made from a script's schema, played in a browser: what is typed arrives, to the last digit."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.web.browsing import Visitor, serious

HUGE = 10**30 + 1
EVIL = "<script>alert(1)</script>"
NODE = {
    "type": "object",
    "title": "Node",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": "integer"},
        "below": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
}
SCHEMA: dict[str, Any] = {
    "required": ["name", "count", "job", "tags"],
    "properties": {
        "name": {"type": "string", "title": "Name", "minLength": 2, "description": EVIL},
        "count": {"type": "integer", "minimum": HUGE - 1},
        "mode": {"enum": ["fast", HUGE, None]},
        "ratio": {"type": "number", "default": 0.1},
        "sure": {"type": "boolean"},
        "secret": {"type": "string", "writeOnly": True},
        "job": {
            "oneOf": [
                {
                    "title": "Mail",
                    "required": ["kind", "to"],
                    "properties": {"kind": {"const": "mail"}, "to": {"type": "string", "format": "email"}},
                    "additionalProperties": False,
                },
                {
                    "title": "Call",
                    "required": ["kind", "number"],
                    "properties": {"kind": {"const": "call"}, "number": {"type": "integer"}},
                    "additionalProperties": False,
                },
            ]
        },
        "tree": {"$ref": "#/$defs/node"},
        "tags": {"type": "array", "title": "Tags", "minItems": 1, "items": {"type": "string", "pattern": "^[a-z]+$"}},
        "labels": {"type": "object", "title": "Labels", "additionalProperties": {"type": "integer"}},
        "__proto__": {"type": "string"},
        "constructor": {"type": "integer"},
        "anything": {},
        "loud": {"type": "boolean", "default": True},
    },
    "$defs": {"node": NODE},
    "examples": [{"name": "example", "count": HUGE, "job": {"kind": "call", "number": 1}, "tags": ["a"]}],
}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "rateLimit": "none"}}))
    d.script("rich", ["cat"], SCHEMA, title=EVIL, description=EVIL, category=EVIL, tags=[EVIL, "rich"])
    d.script("sure", ["cat"], {"x-confirm": "This cannot be undone.", "properties": {"n": {"type": "integer"}}})
    d.script("kept", ["cat"], {"properties": {"x": {}}}, allowedScopes=["deploy:production"])
    d.script("off", ["cat"], {}, enabled=False)
    yield from running_api(d)


def form_of(page: Page) -> Locator:
    return page.get_by_role("form", name="Run")


def payload_of(page: Page, api: Api) -> Any:
    """Of the task that the page has gone to. Python reads integers exactly."""
    page.wait_for_url("**/tasks/*")
    return api.get(f"/tasks/{page.url.rsplit('/', 1)[1]}").json["payload"]


def status(page: Page) -> Locator:
    return form_of(page).locator(".checked")


def test_a_form_is_filled_in_and_sent_with_the_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.open("/scripts/rich")
    name = form_of(page).get_by_role("textbox", name="Name required")
    expect(name).to_have_accessible_description(f"{EVIL} at least 2 characters")
    name.focus()
    keys = page.keyboard
    keys.type("émile")
    keys.press("Tab")
    keys.type(str(HUGE))
    for _ in range(2):
        keys.press("Tab")  # mode, then ratio, which has its default
    keys.press("Tab")
    keys.type("y")  # yes
    keys.press("Tab")
    keys.type("hush")
    keys.press("Tab")
    keys.type("C")  # the other form
    keys.press("Tab")  # the kind, which is fixed
    keys.press("Tab")
    keys.type("007")
    expect(form_of(page).get_by_label("number")).to_have_accessible_description(
        "this is no whole number: write digits only"
    )
    for _ in range(3):
        keys.press("Backspace")
    keys.type("7")
    keys.press("Tab")  # Add Node
    keys.press("Enter")
    keys.type("5")
    tags = form_of(page).get_by_role("group", name="Tags")
    tags.get_by_role("textbox").focus()
    keys.type("b")
    tags.get_by_role("button", name="Add an entry").focus()
    keys.press("Enter")
    keys.type("a")
    keys.press("Alt+ArrowUp")
    expect(tags.get_by_role("textbox").first).to_be_focused()
    expect(status(page)).to_have_text("Valid")
    keys.press("Enter")
    assert payload_of(page, visitor.api) == {
        "name": "émile",
        "count": HUGE,
        "ratio": 0.1,
        "sure": True,
        "secret": "***",
        "job": {"kind": "call", "number": 7},
        "tree": {"value": 5},
        "tags": ["a", "b"],
        "loud": True,
    }


def test_what_is_wrong_stands_beside_its_field_and_a_summary_leads_there(visitor: Visitor) -> None:
    page = visitor.open("/scripts/rich?p.name=x&p.count=12&p.mode=fast")
    form = form_of(page)
    form.get_by_role("button", name="Add Labels").click()
    labels = form.get_by_role("group", name="Labels")
    for name in ("__proto__", "constructor"):
        labels.get_by_role("button", name="Add an entry").click()
        labels.get_by_label("name").last.fill(name)
    labels.get_by_label("value").first.fill("1")
    labels.get_by_label("value").last.fill("1.5")
    form.get_by_role("button", name="Run", exact=True).click()
    summary = form.get_by_role("alert").filter(has_text="problems")
    expect(summary).to_be_focused()
    expect(form.get_by_label("Name", exact=False).first).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("count")).to_have_accessible_description(
        re.compile(f"at least {HUGE - 1}.*{HUGE - 1}", re.S)
    )
    expect(labels.get_by_label("value").last).to_have_attribute("aria-invalid", "true")
    expect(labels.get_by_label("value").first).to_have_attribute("aria-invalid", "false")
    assert serious(page) == []
    summary.get_by_role("button", name="/job/to").press("Enter")
    expect(form.get_by_label("to", exact=False).and_(form.locator("input[type=email]"))).to_be_focused()
    summary.get_by_role("button", name="/labels/constructor").press("Enter")
    expect(labels.get_by_label("value").last).to_be_focused()
    labels.get_by_label("name").last.fill("__proto__")
    expect(labels.get_by_text("this name stands there twice").first).to_be_visible()
    assert page.url.startswith(f"{visitor.url}/scripts/rich"), "nothing was sent"


def test_nothing_is_lost_between_the_form_and_the_json(visitor: Visitor) -> None:
    page = visitor.open("/scripts/rich")
    form = form_of(page)
    # What no field is for, what is of another kind, and what only looks like something else.
    text = f"""{{"name": "two\\nlines", "count": 1{"0" * 40}, "ratio": 1.10, "mode": "slow", "sure": "yes",
        "__proto__": "own", "constructor": 3, "unknown": {{"2": [1e400, {{"__proto__": null}}]}},
        "anything": [{{}}, "{EVIL}"], "job": {{"kind": "call"}}, "tags": {json.dumps(["a"] * 300)},
        "labels": {{"a": "x"}},
        "tree": {{"value": 1, "below": [{{"value": 2, "below": [{{"value": 3}}]}}]}}}}"""
    form.get_by_role("tab", name="JSON").click()
    editor = form.get_by_role("textbox", name="The payload as JSON")
    editor.fill(text)
    form.get_by_role("tab", name="JSON").press("ArrowRight")
    expect(form.get_by_label("Name", exact=False).first).to_have_value("two\nlines")
    expect(form.get_by_label("__proto__")).to_have_value("own")
    expect(form.get_by_label("ratio")).to_have_value("1.10")
    form.get_by_role("tab", name="Form").press("ArrowLeft")
    assert numbers_as_text(editor.input_value()) == numbers_as_text(text)
    expect(form.get_by_text("/unknown/2/0", exact=False).first).to_be_visible()
    editor.fill('{"name": "a", "name": "b"}')
    expect(form.get_by_text('the name "name" stands there twice')).to_be_visible()
    form.get_by_role("tab", name="Form").click()
    expect(form.get_by_role("tab", name="JSON")).to_have_attribute("aria-selected", "true")
    assert editor.input_value() == '{"name": "a", "name": "b"}'
    assert serious(page) == []


def numbers_as_text(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str)


def test_a_link_fills_in_the_form_and_a_wrong_one_says_so(visitor: Visitor) -> None:
    payload = {
        "name": EVIL,
        "count": HUGE,
        "job": {"kind": "mail", "to": "a@b.example"},
        "tags": ["x"],
        "__proto__": "p",
    }
    link = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    page = visitor.open(f"/scripts/rich?payload={link}")
    form_of(page).get_by_role("button", name="Dry run").click()
    assert payload_of(page, visitor.api) == {**payload, "dryRun": True}
    page.goto(f"/scripts/rich?payload=%25%00{quote(EVIL)}")
    expect(form_of(page).get_by_role("alert").first).to_contain_text("cannot be read")
    page.goto("/scripts/rich?p.constructor=9999999999999999999&p.__proto__=12&p.nothing=%5B")
    expect(form_of(page).get_by_label("constructor")).to_have_value("9999999999999999999")
    expect(form_of(page).get_by_label("__proto__")).to_have_value("12")


def test_a_dry_run_is_a_task_of_its_own_and_says_so(visitor: Visitor) -> None:
    page = visitor.open("/scripts/rich")
    form_of(page).get_by_role("button", name="Fill in the example").click()
    form_of(page).get_by_role("button", name="Dry run").click()
    page.wait_for_url("**/tasks/*")
    task = visitor.api.get(f"/tasks/{page.url.rsplit('/', 1)[1]}").json
    assert task["dryRun"] and task["payload"]["count"] == HUGE
    page.goto("/scripts/rich")
    recent = page.get_by_role("region", name="Recent tasks")
    expect(recent.get_by_text("dry run").first).to_be_visible()
    expect(recent.get_by_role("img")).to_have_accessible_name(re.compile("^Durations of the last "))


def test_a_script_that_asks_is_confirmed_first(visitor: Visitor) -> None:
    page = visitor.open("/scripts/sure")
    run = form_of(page).get_by_role("button", name="Run", exact=True)
    run.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("This cannot be undone.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert visitor.api.get("/tasks?script=sure").json["total"] == 0
    run.press("Enter")
    page.get_by_role("button", name="Run it").press("Enter")
    assert payload_of(page, visitor.api) == {}
    assert visitor.api.get("/tasks?script=sure").json["total"] == 1


def test_scripts_are_found_by_words_and_say_what_keeps_them_from_running(visitor: Visitor) -> None:
    page = visitor.open("/scripts")
    expect(page.get_by_role("heading", level=3)).to_have_count(4)
    expect(page.get_by_role("listitem").filter(has_text="off").get_by_text("disabled")).to_be_visible()
    assert serious(page) == []
    page.get_by_label("Search").fill("ALERT rich")
    expect(page.get_by_role("heading", level=3)).to_have_text([EVIL])
    assert "q=ALERT+rich" in page.url
    page.get_by_role("link", name=EVIL).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    assert serious(page) == []
    page.go_back()
    expect(page.get_by_label("Search")).to_have_value("ALERT rich")
    page.goto("/scripts/off")
    expect(form_of(page).get_by_role("button", name="Run", exact=True)).to_be_disabled()


def test_who_may_not_run_a_script_is_told_so(visitor: Visitor) -> None:
    made = visitor.api.post("/keys", {"name": "narrow", "scopes": ["scripts:read", "scripts:execute:sure"]}).json
    page = visitor.open("/scripts/kept", made["key"])
    expect(page.get_by_text("may not run this script")).to_be_visible()
    expect(page.get_by_role("region", name="What it is")).to_contain_text("deploy:production")
    page.goto("/scripts/sure?p.n=3")
    form_of(page).get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Run it").click()
    expect(form_of(page).get_by_text(re.compile("^Task .*: completed$"))).to_be_visible()
