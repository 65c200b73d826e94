"""A task on the page as people use it: its log while it comes, hostile content, what can be done with it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.conftest import Deployment
from tests.system.http_client import Api, running_api
from tests.system.site import DEADLINE_S, eventually
from tests.web.browsing import Visitor, serious, visiting

ANY = {"type": "object", "additionalProperties": True}
LINES = 100_000
FLOOD = """
import json, os, sys, time
lines = json.load(sys.stdin)["lines"]
def wait(name):
    while not os.path.exists(os.path.join(os.environ["OPEN"], os.environ["TASK_ID"] + name)): time.sleep(0.01)
wait(".first")
for n in range(1, lines + 1):
    sys.stdout.write(f"line {n} of the flood\\n")
    if n == lines // 2:
        sys.stdout.flush()
        wait(".second")
sys.stdout.flush()
print("fatal: the flood is over", file=sys.stderr, flush=True)
wait(".end")
"""
NASTY = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
HOSTILE = f"""
import os, sys
def out(text): os.write(1, text.encode() + b"\\n")
out({NASTY!r})
out("\\x1b[31mred \\x1b[1mbold\\x1b[0m plain \\x1b[8mhidden\\x1b[0m \\x1b[38;5;196mbright\\x1b[0m")
out("\\x1b]0;owned\\x07\\x1b]8;;http://evil.example\\x1b\\\\link\\x1b]8;;\\x1b\\\\ \\x1b[2J\\x1b[H")
out("safe\\u202etxt.exe\\u2066 \\x00 \\x9b31m bell\\x07 over\\rwritten")
out("::progress 40 Half \\x1b[31m{NASTY[:20]}::")
os.write(2, b"sad\\n")
os.write(1, b"x" * 200_000 + b"\\n")
os.makedirs("artifacts/public")
page = "<h1 id=t>before</h1><script>document.getElementById('t').textContent='owned'</script>"
page += "<style>h1{{color:red}}</style><img src=/api/v1/me><form action=/x><button>go</button></form>"
open("artifacts/public/report.html", "w").write(page)
open("artifacts/big.json", "w").write('{{"n": 12345678901234567890, "a": [1, "<script>"]}}')
open("artifacts/<img src=x onerror=alert(1)> & ?#%2e.txt", "w").write({NASTY!r})
svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
open("artifacts/draw.svg", "w").write(svg)
sys.exit(3)
"""


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "rateLimit": "none"}}))
    options = {"plugins": {"disabled": ["logHeader"]}, "env": {"OPEN": str(d.home)}, "killGrace": "0s"}
    d.script("flood", ["/usr/bin/env", "-S", "python3", str(d.file("flood.py", FLOOD))], ANY, **options)
    d.script("hostile", ["/usr/bin/env", "-S", "python3", str(d.file("hostile.py", HOSTILE))], ANY, **options)
    d.script(
        "twice",
        "echo run $RUN_ID; exit $((1 - RUN_ID))",
        ANY,
        retries=1,
        retryOn=["exit-code"],
        retryDelay="10ms",
        **options,
    )
    d.script("slow", "echo begun; echo '::progress 40 Uploading::'; exec sleep 600", ANY, **options)
    yield from running_api(d)


def begin(api: Api, script: str, **body: object) -> str:
    answer = api.post(f"/scripts/{script}/execute?async=true", body)
    assert answer.status == 202, answer
    return str(answer.json["taskId"])


def finished(api: Api, script: str, **body: object) -> str:
    answer = api.post(f"/scripts/{script}/execute", body)
    assert answer.status == 200, answer
    return str(answer.json["taskId"])


def open_gate(d: Deployment, task: str, gate: str) -> None:
    d.file(f"{task}.{gate}", "")


def rows(page: Page) -> list[str]:
    found: list[str] = page.locator(".log-row .log-text").all_text_contents()
    return found


def test_two_people_follow_a_hundred_thousand_lines(
    browser: Browser, api: Api, shared_deployment: Deployment, visitor: Visitor, other_visitor: Visitor
) -> None:
    task = begin(api, "flood", payload={"lines": LINES})
    pages = [visitor.open(f"/tasks/{task}"), other_visitor.open(f"/tasks/{task}")]
    for page in pages:
        expect(page.locator(".log-count")).to_have_text(re.compile("0 lines, live"))
    open_gate(shared_deployment, task, "first")
    half = f"{LINES // 2:,} lines, live"
    for page in pages:
        expect(page.locator(".log-count")).to_have_text(half)
        expect(page.get_by_text(f"line {LINES // 2} of the flood", exact=True)).to_be_visible()
        assert page.locator(".log-row").count() < 150
    reader, follower = pages
    reader.get_by_role("log").focus()
    reader.keyboard.press("Home")
    expect(reader.get_by_text("line 1 of the flood", exact=True)).to_be_visible()
    expect(reader.get_by_role("button", name="Follow", exact=True)).to_be_visible()
    open_gate(shared_deployment, task, "second")
    for page in pages:
        expect(page.locator(".log-count")).to_have_text(f"{LINES + 1:,} lines, live")
    expect(reader.get_by_text("line 1 of the flood", exact=True)).to_be_visible()
    expect(follower.get_by_text("[worker:error] fatal: the flood is over")).to_be_visible()
    reader.get_by_role("button", name="Follow again").click()
    expect(reader.get_by_text("[worker:error] fatal: the flood is over")).to_be_visible()
    reader.get_by_role("searchbox", name="Search the log").fill("LINE 777")
    expect(reader.locator(".log-hits")).to_have_text("111 lines")
    reader.get_by_role("button", name="Next").click()
    reader.get_by_role("button", name="Previous").click()
    expect(reader.locator(".log-hits")).to_have_text("111 of 111 lines")
    expect(reader.locator(".is-chosen mark")).to_have_text("line 777")
    reader.get_by_label("stdout").uncheck()
    expect(reader.locator(".log-count")).to_have_text(f"1 of {LINES + 1:,} lines, live")
    assert rows(reader) == ["[worker:error] fatal: the flood is over"]
    follower.get_by_role("log").focus()
    follower.keyboard.press("e")
    expect(follower.locator(".log-whole")).to_contain_text(f"Line {LINES + 1}, err")
    open_gate(shared_deployment, task, "end")
    expect(follower.locator("h1 + .badge")).to_have_text("completed")
    # What has ended is read in another way, and says the same.
    follower = other_visitor.open(f"/tasks/{task}#L{LINES - 5}-L{LINES - 3}")
    expect(follower.locator(".is-chosen .log-text")).to_have_text(
        [f"line {n} of the flood" for n in range(LINES - 5, LINES - 2)]
    )
    expect(follower.locator(".log-count")).to_have_text(f"{LINES + 1:,} lines")
    follower.get_by_role("button", name="First error").click()
    expect(follower.locator(".is-chosen .log-source")).to_have_text(["err"])


def test_a_server_that_starts_again_costs_a_reader_no_line(
    browser: Browser, api: Api, shared_deployment: Deployment
) -> None:
    d = shared_deployment
    server, port = serve(d, "0")
    elsewhere = Api(api.host, port, api.key)
    lines = 20_000
    task = begin(api, "flood", payload={"lines": lines})
    with visiting(browser, elsewhere) as visitor:
        page = visitor.open(f"/tasks/{task}")
        expect(page.locator(".log-count")).to_have_text(re.compile("0 lines, live"))
        open_gate(d, task, "first")
        expect(page.locator(".log-count")).to_have_text(f"{lines // 2:,} lines, live")
        server.send_signal(signal.SIGKILL)
        server.wait()
        expect(page.locator(".log-count")).to_contain_text("the connection is lost")
        open_gate(d, task, "second")
        server, _ = serve(d, str(port))
        expect(page.locator(".log-count")).to_have_text(f"{lines + 1:,} lines, live")
        page.get_by_role("searchbox", name="Search the log").fill("of the flood")
        expect(page.locator(".log-hits")).to_have_text(f"{lines:,} lines")
        open_gate(d, task, "end")
        expect(page.locator("h1 + .badge")).to_have_text("completed")
        visitor.complaints.clear()  # of the connection that was lost
    server.send_signal(signal.SIGTERM)
    server.wait(DEADLINE_S)


def serve(d: Deployment, port: str) -> tuple[subprocess.Popen[bytes], int]:
    log = d.home / f"api-{len(d.processes)}.log"
    with log.open("wb") as output:
        process = d.start("api", "--port", port, stdout=output, stderr=output)
    found = eventually(lambda: re.search(r"http://[0-9.]+:([0-9]+)", log.read_text()), "the API")
    return process, int(found[1])


def test_nothing_that_a_command_writes_is_more_than_text(api: Api, visitor: Visitor) -> None:
    task = finished(api, "hostile", payload={NASTY: NASTY, "big": 12345678901234567890, "bidi": "\u202eabc"})
    page = visitor.open(f"/tasks/{task}")
    expect(page.locator(".log-row")).not_to_have_count(0)
    expect(page.locator(".log-count")).to_have_text("8 lines")
    found = rows(page)
    assert found[0] == NASTY
    assert found[1] == "red bold plain hidden bright"
    assert found[2] == "^[]0;owned^G^[]8;;http://evil.example^[\\link^[]8;;^[\\ ^[[2J^[[H"
    assert found[3] == "safe<U+202E>txt.exe<U+2066> ^@ <U+009B>31m bell^G over^Mwritten"
    assert found[-2].endswith("… 198000 more characters") and len(found[-2]) < 3000
    assert page.locator(".log-text .ansi-fg-1.ansi-bold").text_content() == "bold"
    assert page.locator(".log-text .ansi-fg-9").text_content() == "bright"
    assert page.locator(".log-err .log-text").all_text_contents() == ["[worker:error] sad"]
    expect(page.locator(".progress-text")).to_have_text("40 % Half <script>document.tit")
    payload = page.get_by_label("Payload").last.text_content() or ""
    assert "12345678901234567890" in payload and "<U+202E>abc" in payload and "<script>" in payload
    page.get_by_role("button", name="Preview public/report.html").click()
    frame = page.frame_locator("iframe")
    expect(frame.locator("h1")).to_have_text("before")
    expect(frame.locator("h1")).to_have_css("color", "rgb(255, 0, 0)")
    # That its scripts, pictures and forms are refused is what the browser says.
    refused = [each for each in visitor.complaints if "sandbox" in each or "Content Security Policy" in each]
    assert len(refused) >= 2 and refused == visitor.complaints
    visitor.complaints.clear()
    page.get_by_role("button", name="Preview big.json").click()
    expect(page.get_by_label("Preview of big.json")).to_contain_text('"n": 12345678901234567890')
    page.get_by_role("button", name="Preview <img").click()
    expect(page.get_by_label("Preview of <img")).to_have_text(NASTY)
    page.get_by_role("button", name="Preview draw.svg").click()
    expect(page.get_by_alt_text("The image draw.svg")).to_be_visible()
    expect(page).to_have_title(f"Task {task} · Penstock")
    assert serious(page) == []


def test_the_server_itself_says_that_a_preview_runs_nothing(api: Api) -> None:
    task = finished(api, "hostile", payload={})
    base = f"/tasks/{task}/artifacts"
    shown = api.get(f"{base}/public/report.html?preview=true").headers
    rules = shown["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "frame-ancestors 'self'"} <= set(rules)
    assert not any(rule.startswith(("script-src", "connect-src", "form-action")) for rule in rules)
    assert (shown["x-frame-options"], shown["x-content-type-options"]) == ("SAMEORIGIN", "nosniff")
    assert shown["content-disposition"].startswith("inline;")
    for path in (f"{base}/public/report.html", f"{base}/big.json?preview=true"):
        plain = api.get(path).headers
        assert plain["x-frame-options"] == "DENY" and "frame-ancestors 'none'" in plain["content-security-policy"]
    assert api.get(f"{base}/public/report.html?preview=2").status == 400
    index, log = api.get(f"/tasks/{task}/log/index").body, api.get(f"/tasks/{task}/log").body
    assert sum(length for _, length, _ in struct.iter_unpack("<QIB3x", index)) == len(log)


def test_a_task_is_cancelled_and_run_again_with_the_keyboard_alone(api: Api, visitor: Visitor) -> None:
    task = begin(api, "slow", payload={"n": 1})
    page = visitor.open(f"/tasks/{task}")
    expect(page.locator(".progress-text")).to_have_text("40 % Uploading")
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 40)
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Cancel")
    for _ in range(40):
        if button.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Cancel the task")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1 + .badge")).to_have_text("cancelled")
    edit = page.get_by_role("link", name="Edit and run").get_attribute("href")
    assert edit == "/scripts/slow?payload=eyJuIjoxfQ"
    page.get_by_role("button", name="Run again").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).not_to_contain_text(task)
    expect(page.locator("h1 + .badge")).to_have_text("running")
    assert page.get_by_role("link", name=task).get_attribute("href") == f"/tasks/{task}"
    again = page.url.rpartition("/")[2]
    assert api.post(f"/tasks/{again}/cancel", {}).status == 202
    page.get_by_label("Its id").fill(task)
    page.keyboard.press("Enter")
    expect(page.get_by_text("The payloads are the same.")).to_be_visible()
    expect(page.locator("h1 + .badge")).to_have_text("cancelled")


def test_each_run_has_its_own_log_and_place_in_time(api: Api, visitor: Visitor) -> None:
    task, other = finished(api, "twice", payload={"a": 1}), finished(api, "hostile", payload={"a": 2})
    page = visitor.open(f"/tasks/{task}?compare={other}")
    expect(page.locator(".log-text")).to_have_text(["run 1"])
    expect(page.locator(".timeline li")).to_have_count(2)
    page.get_by_label("Show the log of").select_option("0")
    expect(page.locator(".log-text").first).to_have_text("run 0")
    differing = page.get_by_role("region", name=re.compile("Where the payloads differ"))
    expect(differing.get_by_role("row").nth(1)).to_have_text("/a12")
    expect(page.get_by_role("region", name=re.compile("^Task .* and task"))).to_contain_text("exception")
    assert serious(page) == []


def test_a_browser_that_gives_the_page_no_frame_shows_the_log_all_the_same(api: Api, visitor: Visitor) -> None:
    visitor.context.add_init_script("window.requestAnimationFrame = () => 1")
    page = visitor.open(f"/tasks/{finished(api, 'twice', payload={})}")
    expect(page.locator(".log-text")).to_have_text(["run 1"])


def test_who_may_only_read_is_offered_nothing_else(api: Api, visitor: Visitor) -> None:
    task = begin(api, "slow", payload={})
    made = api.post("/keys", {"name": "reads", "scopes": ["tasks:read", "scripts:read"]})
    page = visitor.open(f"/tasks/{task}", made.json["key"])
    expect(page.locator(".log-text")).to_have_text(["begun", "::progress 40 Uploading::"])
    for name in ("Cancel", "Run again"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    assert api.post(f"/tasks/{task}/cancel", {}).status == 202


def test_a_terminal_shows_a_bar_and_a_file_gets_the_log_as_it_is(api: Api, shared_deployment: Deployment) -> None:
    task = begin(api, "slow", payload={})
    master, slave = pty.openpty()
    process = shared_deployment.start("logs", "-f", task, stderr=slave)
    os.close(slave)
    try:
        bar = read_until(master, b"Uploading")
        assert api.post(f"/tasks/{task}/cancel", {}).status == 202
        written, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        os.close(master)
    assert b"[#########               ]  40 % Uploading" in bar
    assert written.startswith(b"begun\n::progress 40 Uploading::\n") and b"\x1b" not in written


def read_until(fd: int, text: bytes) -> bytes:
    found = b""
    while text not in found:
        assert select.select([fd], [], [], DEADLINE_S)[0], found
        found += os.read(fd, 4096)
    return found
