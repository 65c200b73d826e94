"""The frame of the page: its shell and files, logging in and out, what a session may, and what is refused."""

from __future__ import annotations

import gzip
import http.client
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.system.conftest import Deployment
from tests.system.http_client import BASE, Api, running_api
from tests.system.sse_client import Stream
from tests.web.browsing import Visitor, serious
from worker.auth.password import hash_password

PASSWORD = "a long päss wörd: yes"
TEXT = "a" * 43


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    hashed = shared_deployment.file("password", str(hash_password(PASSWORD, b"s" * 16)))
    basic = {"user": "root", "passwordHashFile": str(hashed)}
    settings = {"api": {"port": 0, "rateLimit": "none"}, "auth": {"basic": basic}}
    shared_deployment.file("config/penstock.yaml", json.dumps(settings))
    shared_deployment.script("say", "echo hi")
    yield from running_api(shared_deployment)


def fetch(api: Api, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(api.host, api.port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def session_of(api: Api, key: str | None = None, **headers: str) -> tuple[str, str]:
    """The cookie and the token of a new session."""
    answer = api.with_key(key or api.key).send("POST", "/session", headers=headers)
    assert answer.status == 201, answer
    return answer.headers["set-cookie"].split(";")[0], answer.json["csrfToken"]


def new_key(api: Api, *scopes: str) -> tuple[str, str]:
    made = api.post("/keys", {"name": "made", "scopes": list(scopes)})
    assert made.status == 201, made
    return made.json["id"], made.json["key"]


def test_every_place_of_the_page_is_the_same_shell_under_a_strict_policy(api: Api) -> None:
    status, headers, shell = fetch(api, "/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    assert b"style=" not in shell and b"onclick" not in shell
    for path in ("/scripts", "/scripts/say", "/tasks/x", "/workflow-runs/r", "/workers/w", "/login", "/tasks/%2e%2e"):
        assert fetch(api, path)[::2] == (200, shell), path
    for path in ("/nothing", "/scripts/a/b", "/static/index.html", "//evil.example", "/tasks/a%2fb"):
        assert fetch(api, path)[::2] == (404, shell), path
    assert fetch(api, "/", "POST")[0] == 405
    assert fetch(api, "/", "HEAD")[::2] == (200, b"")
    assert fetch(api, "/", If_None_Match=headers["etag"])[::2] == (304, b"")


def test_a_file_is_kept_for_ever_under_a_name_that_changes_with_it(api: Api) -> None:
    shell = fetch(api, "/")[2].decode()
    found = re.search(r'src="(/assets/[0-9a-f]{16})/page\.js"', shell)
    assert found
    status, headers, plain = fetch(api, f"{found[1]}/page.js")
    assert status == 200
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in headers["cache-control"]
    status, packed_headers, packed = fetch(api, f"{found[1]}/page.js", Accept_Encoding="br, gzip")
    assert packed_headers["content-encoding"] == "gzip" and gzip.decompress(packed) == plain
    assert packed_headers["etag"] != headers["etag"]
    for path in (
        f"{found[1]}/../site.py",
        f"{found[1]}/scripts/../../assets.py",
        f"{found[1]}/%2e%2e/site.py",
        f"{found[1]}//etc/passwd",
        f"{found[1]}/index.html",
        "/assets/0000000000000000/page.js",
        "/assets/",
        "/scripts/main.js/x",
    ):
        assert fetch(api, path)[0] == 404, path


def test_a_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(api: Api) -> None:
    answer = api.send("POST", "/session", headers={"Origin": f"http://{api.host}:{api.port}"})
    cookie = answer.headers["set-cookie"]
    assert re.match(rf"penstock-session-{api.port}=[A-Za-z0-9_-]{{43}}; ", cookie)
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Max-Age=43200"} == set(cookie.split("; ")[1:])
    through_tls = api.send("POST", "/session", headers={"Origin": "https://jobs.example", "Host": "jobs.example"})
    assert "Secure" in through_tls.headers["set-cookie"].split("; ")
    assert through_tls.headers["set-cookie"].startswith("penstock-session=")


def test_a_change_by_cookie_needs_the_token_of_that_session(api: Api) -> None:
    cookie, token = session_of(api)
    other, other_token = session_of(api)
    nobody = api.with_key(None)
    assert nobody.get("/session", Cookie=cookie).json["csrfToken"] == token
    assert api.get("/session").json["csrfToken"] is None
    for headers in ({}, {"X_CSRF_Token": other_token}, {"X_CSRF_Token": ""}, {"X_CSRF_Token": "ä"}):
        refused = nobody.post("/scripts/say/execute", {}, Cookie=cookie, **headers)
        assert refused.error == (403, "no-csrf-token")
    assert nobody.post("/scripts/say/execute", {}, Cookie=cookie, X_CSRF_Token=token).status == 200
    foreign = nobody.post("/scripts/say/execute", {}, Cookie=cookie, X_CSRF_Token=token, Origin="http://evil.example")
    assert foreign.error == (403, "cross-site")
    assert nobody.post("/session", None, Cookie=cookie, X_CSRF_Token=token).error == (401, "unauthorized")
    # A key beside a cookie is what counts: it proves itself with each call.
    assert api.post("/scripts/say/execute", {}, Cookie=other).status == 200


@pytest.mark.parametrize("ends", ["log out", "revoked"])
def test_a_session_ends_at_once_with_its_log_out_or_its_key(api: Api, ends: str) -> None:
    id, key = new_key(api, "tasks:read", "scripts:read")
    cookie, token = session_of(api, key)
    nobody = api.with_key(None)
    assert nobody.get("/tasks", Cookie=cookie).status == 200
    assert nobody.get("/keys", Cookie=cookie).error == (403, "not-allowed")
    if ends == "revoked":
        assert api.delete(f"/keys/{id}").status < 300
    else:
        gone = nobody.send("DELETE", "/session", headers={"Cookie": cookie, "X-CSRF-Token": token})
        assert gone.status == 204 and "Max-Age=0" in gone.headers["set-cookie"]
    assert nobody.get("/tasks", Cookie=cookie).error == (401, "unauthorized")


def test_a_cookie_that_is_no_session_proves_nothing(api: Api) -> None:
    nobody, name = api.with_key(None), f"penstock-session-{api.port}"
    good, _ = session_of(api)
    for cookie in (
        f"{name}={TEXT}",
        f"{name}=",
        f"{name}=../../api-key",
        f"{name}={'a' * 7000}",
        f"{good}; {name}={TEXT}",
        good.replace(name, "penstock-session"),
        good.replace("=", "=penstock:session:"),
        "=;;=; \x7f",
    ):
        assert nobody.get("/tasks", Cookie=cookie).error == (401, "unauthorized"), cookie
    assert nobody.raw(
        f"GET {BASE}/tasks HTTP/1.1\r\nHost: {api.host}:{api.port}\r\nCookie: {good}\r\nCookie: a=b\r\n"
        "Connection: close\r\n\r\n".encode()
    ).startswith(b"HTTP/1.1 400")


def log_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_label("API key").press("Enter")


def test_who_comes_logs_in_is_where_they_wanted_to_be_and_logs_out(visitor: Visitor) -> None:
    page = visitor.page()
    page.goto("/tasks?status=failed")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert serious(page) == []
    log_in(page, "penstock_aaaaaaaa_" + TEXT)
    expect(page.get_by_role("alert")).to_have_text("That key is not valid.")
    log_in(page, visitor.api.key or "")
    expect(page).to_have_url(f"{visitor.url}/tasks?status=failed")
    assert page.evaluate("document.cookie") == ""
    assert (visitor.api.key or "") not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_focused()
    page.reload()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert visitor.context.cookies() == []


def test_the_bootstrap_admin_logs_in_with_keys_of_the_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.page()
    page.goto("/login?next=//evil.example/x")
    expect(page.get_by_label("API key")).to_be_focused()
    for key in ("Tab", "Tab", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_label("User")).to_be_focused()
    page.keyboard.type("root")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page).to_have_url(f"{visitor.url}/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("g then t")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page).to_have_url(f"{visitor.url}/tasks")


def test_the_bar_offers_what_the_key_may_use(visitor: Visitor) -> None:
    page = visitor.open("/", new_key(visitor.api, "tasks:read", "scripts:read")[1])
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(["Overview", "Scripts", "Tasks"])


def test_dark_or_light_is_the_readers_choice_and_stays(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert serious(page) == []


def test_elements_take_no_code_and_no_markup(visitor: Visitor) -> None:
    page = visitor.open("/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    base = page.locator('script[type="module"]').get_attribute("src")
    assert base
    found = page.evaluate(
        """async (place) => {
          const { h, s } = await import(place);
          const refused = (fn) => { try { fn(); return false; } catch (error) { return error instanceof TypeError; } };
          const evil = "<img src=x onerror=alert(1)>";
          return {
            text: h("p", evil, [evil]).innerHTML,
            links: ["javascript:alert(1)", " JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "/tasks"]
              .map((href) => h("a", { href }).getAttribute("href")),
            inSvg: s("a", { "xlink:href": "javascript:alert(1)", href: "javascript:alert(1)" }).attributes.length,
            image: h("img", { src: "data:image/svg+xml,<svg onload=alert(1)>" }).getAttribute("src"),
            refused: [{ onclick: "alert(1)" }, { srcdoc: evil }, { innerHTML: evil }, { style: "x" }]
              .map((attributes) => refused(() => h("div", attributes))),
            attribute: h("p", { title: '"><script>' }).title,
          };
        }""",
        base.replace("page.js", "scripts/element.js"),
    )
    assert found == {
        "text": "&lt;img src=x onerror=alert(1)&gt;" * 2,
        "links": [None, None, None, None, None, "/tasks"],
        "inSvg": 0,
        "image": None,
        "refused": [True, True, True, True],
        "attribute": '"><script>',
    }


def test_a_live_log_of_any_length_takes_so_much_room_and_no_more(visitor: Visitor) -> None:
    page = visitor.open("/")
    base = page.locator('script[type="module"]').get_attribute("src")
    assert base
    found = page.evaluate(
        """async (place) => {
          const { LogLines } = await import(place);
          const lines = new LogLines({ most: 30_000 });
          for (let n = 1; n <= 5000; n += 1) lines.append(`line ${n}`.padEnd(10), 0, false);
          const whole = [];
          for (let n = 0; n < lines.blocks; n += 1) whole.push((await lines.blockLines(n)).lines.length);
          const endless = new LogLines();
          for (let n = 0; n < 12; n += 1) endless.append("x".repeat(1_000_000), 0, true);
          return {
            count: lines.length, dropped: lines.dropped, partial: lines.partial, blocks: whole,
            first: lines.text(1999), held: lines.text(2000), last: lines.text(4999),
            endless: [endless.length, endless.text(0).length < 12_000_000, endless.partial],
          };
        }""",
        base.replace("page.js", "scripts/parts/log_lines.js"),
    )
    assert found == {
        "count": 5000,
        "dropped": 2000,
        "partial": True,
        "blocks": [0, 0, 1000, 1000, 1000],
        "first": None,
        "held": "line 2001 ",
        "last": "line 5000 ",
        "endless": [1, True, True],
    }


@pytest.mark.parametrize("ends", ["log out", "log in anew", "revoked"])
def test_a_stream_ends_with_the_session_that_reads_it(api: Api, ends: str) -> None:
    id, key = new_key(api, "tasks:read", "scripts:read")
    cookie, token = session_of(api, key)
    nobody = api.with_key(None)
    with Stream(nobody, "/events", cookie=cookie) as stream:
        assert next(iter(stream)).name == "hello"
        if ends == "log out":
            assert nobody.send("DELETE", "/session", headers={"Cookie": cookie, "X-CSRF-Token": token}).status == 204
        elif ends == "revoked":
            assert api.delete(f"/keys/{id}").status == 204
        else:
            assert api.send("POST", "/session", headers={"Cookie": cookie}).status == 201
        assert list(stream) == []
        assert stream.comments == 0, "it waited for the next heartbeat"
    assert nobody.get("/tasks", Cookie=cookie).error == (401, "unauthorized")


def test_who_logs_in_as_somebody_else_is_that_in_every_tab(visitor: Visitor) -> None:
    one = visitor.open("/")
    expect(one.locator(".who")).to_have_text("all")
    _, key = new_key(visitor.api, "tasks:read", "scripts:read")
    visitor.log_in(key)
    expect(one.locator(".who")).to_have_text("made")
    expect(one.get_by_role("link", name="Keys")).to_have_count(0)


def test_nothing_in_an_address_leads_away_or_runs(visitor: Visitor) -> None:
    page = visitor.open("/")
    for evil in (
        "https://evil.example/tasks",
        "/\\evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/api/v1/me",
    ):
        page.goto(f"/login?next={quote(evil, safe='')}")
        expect(page).to_have_url(f"{visitor.url}/")
    page.goto(f"/tasks?q={quote('<img src=x onerror=alert(1)>')}#<script>alert(1)</script>")
    expect(page.get_by_label("Search")).to_have_value("<img src=x onerror=alert(1)>")
    expect(page.locator("main img, main script")).to_have_count(0)


def test_a_step_within_a_view_does_not_draw_it_anew(visitor: Visitor) -> None:
    page = visitor.open("/scripts")
    heading = page.get_by_role("heading", name="Scripts")
    expect(heading).to_be_visible()
    heading.evaluate("(node) => { node.dataset.kept = 'yes'; }")
    for number in (1, 2):
        page.evaluate(f"location.hash = 'L{number}'")
    page.go_back()
    expect(page).to_have_url(re.compile("#L1$"))
    assert heading.get_attribute("data-kept") == "yes"


def test_every_answer_forbids_frames_and_is_private(api: Api) -> None:
    nobody = api.with_key(None)
    for answer in (
        api.get("/me"),
        nobody.get("/me"),
        api.get("/nothing"),
        api.get("/tasks/%00"),
        api.post("/session", None, Origin="http://evil.example"),
        api.get("/openapi.json"),
        nobody.get("/healthz"),
    ):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers
    for path in ("/", "/nothing", "/assets/x", "/favicon.ico"):
        _, headers, _ = fetch(api, path)
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-frame-options"] == "DENY"
