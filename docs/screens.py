"""Screens: pictures of every view of the page, in light and dark, of a real site at work (`make screens`).

The example deployment is copied into a temporary folder, served by `penstock up`, given work of every outcome, and
looked at with Debian's chromium. `--into FOLDER` writes elsewhere, `--wide` also the phone's pictures of every view.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
SCREENS = HERE / "screens"
EXAMPLE = ("config", "scripts")
# Of a picture in the repository. A palette of so many colours keeps text sharp.
MOST_BYTES = 120_000
_COLOURS = (256, 128, 64, 32)
_DEADLINE_S = 60.0
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
DESK, PHONE = (1280, 800), (390, 780)

# A command that shows what the page does while one runs: progress, colours, both streams; it ends when its gate opens.
TRANSCODE = r"""
import json, os, sys, time
asked = json.load(sys.stdin)
print(f"\x1b[1mTranscode {asked['file']}\x1b[0m to \x1b[36m{asked['format']}\x1b[0m", flush=True)
green, yellow, plain = "\x1b[32m", "\x1b[33m", "\x1b[0m"
for part in range(1, 9):
    speed = f"speed {yellow}{1.4 + part / 10:.1f}x{plain}"
    print(f"{green}done{plain} segment {part:02} of 12  {part * 4.2:5.1f} s  {speed}", flush=True)
print("segment 03 has a gap of 0.2 s", file=sys.stderr, flush=True)
print("::progress 66 Segment 9 of 12::", flush=True)
while not os.path.exists("GATE"):
    time.sleep(0.05)
"""
DEPLOY = r"""
import sys
print("Release 4.2.0 to eu-west", flush=True)
for name in ("build", "migrate", "switch"):
    print(f"\x1b[32m ok \x1b[0m {name}", flush=True)
print("error: health check of web-3 answered with 503", file=sys.stderr, flush=True)
sys.exit(1)
"""
_FORMATS = ["h264", "av1", "vp9"]
MORE = {
    "config/scripts/transcode.yaml": {
        "title": "Transcode a video",
        "description": "One file into one format, segment by segment.",
        "category": "media",
        "tags": ["video"],
        "command": ["python3", "scripts/transcode.py"],
        "schema": {
            "required": ["file", "format"],
            "properties": {
                "file": {"type": "string", "title": "File", "minLength": 1},
                "format": {"title": "Format", "enum": _FORMATS, "default": "h264"},
                "token": {"type": "string", "title": "Token of the store", "format": "password", "writeOnly": True},
            },
        },
    },
    "config/scripts/deploy.yaml": {
        "title": "Deploy a release",
        "description": "Builds, migrates, switches over, and looks whether all is well.",
        "category": "release",
        "command": ["python3", "scripts/deploy.py"],
        "schema": {"required": ["version"], "properties": {"version": {"type": "string", "title": "Version"}}},
    },
    "config/schedules/nightly-backup.yaml": {
        "script": "backup-sqlite",
        "cronExpression": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "description": "The shop, before the shops open.",
        "payload": {"database": "shop.sqlite"},
    },
    "config/schedules/hourly-sums.yaml": {
        "script": "checksum-tree",
        "cronExpression": "@hourly",
        "payload": {"folder": "scripts"},
    },
}
# A picture shows no path and no name of the machine that it was taken on.
_RENAME = """(pairs) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    let text = node.data;
    for (const [from, to] of pairs) {
      if (text.startsWith(`${from},`)) text = to + text.slice(from.length);
      text = text.split(`${from}/`).join(`${to}/`);
    }
    if (text !== node.data) node.data = text;
  }
}"""
VALUES = [("Mon", 12), ("Tue", 18), ("Wed", 9), ("Thu", 21), ("Fri", 16)]
REPORT = {"title": "Builds per day", "unit": "builds", "series": [{"label": day, "value": n} for day, n in VALUES]}


@dataclass(frozen=True)
class Site:
    """A running site, and the key that may do everything."""

    home: Path
    url: str
    key: str

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_DEADLINE_S)
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        connection.request(method, f"/api/v1{path}", None if value is None else json.dumps(value), headers)
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"null")
        connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {found}")
        return found

    def submit(self, script: str, payload: dict[str, Any], id: str) -> None:
        self.ask("POST", f"/scripts/{script}/execute?async=true", {"payload": payload, "id": id})

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        return _until(lambda: found if holds(found := self.ask("GET", path)) else None, path)


def _until(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + _DEADLINE_S
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {_DEADLINE_S:g} s: {what}")
        time.sleep(0.05)
    return found


@contextmanager
def running_site() -> Iterator[Site]:
    """The example deployment and what is added to it, in a folder whose name is short."""
    with tempfile.TemporaryDirectory(prefix="ps") as folder:
        home = Path(folder)
        for name in EXAMPLE:
            shutil.copytree(HERE.parent / name, home / name)
        shutil.copy(HERE.parent / "README.md", home)
        settings = {"api": {"port": 0}, "worker": {"name": "mill-1", "labels": ["group=media"]}}
        _write(home / "config" / "penstock.yaml", settings)
        for name, value in MORE.items():
            _write(home / name, value)
        (home / "scripts" / "transcode.py").write_text(TRANSCODE.replace("GATE", str(home / "gate")))
        (home / "scripts" / "deploy.py").write_text(DEPLOY)
        tool = home / "scripts" / "rotate-logs.sh"
        tool.write_text("#!/bin/sh\nexec logrotate --state state logrotate.conf\n")
        tool.chmod(0o755)
        log = home / "up.log"
        command = [sys.executable, "-m", "worker.cli.main", "-C", folder, "up", "--concurrency", "4"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        with log.open("wb") as out:
            up = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=kept)
        try:
            found = _until(lambda: re.search(r"API listens on (http://\S+:\d+)", log.read_text()), log.read_text())
            key = home / ".penstock" / "api-key"
            _until(key.exists, "the first key")
            yield Site(home, found[1], key.read_text().strip())
        finally:
            (home / "gate").touch()
            up.send_signal(signal.SIGTERM)
            up.wait(_DEADLINE_S)


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def give_work(site: Site) -> str:
    """Work of every outcome; one task still runs. Returns the id of a workflow run."""
    for number in range(6):
        site.submit("sign-file", {"file": "README.md"}, f"sign-{number}")
        site.submit("checksum-tree", {"folder": "scripts"}, f"sums-{number}")
    site.submit("render-report", REPORT, "report")
    site.submit("backup-sqlite", {"database": "missing.sqlite"}, "backup")
    site.submit("deploy", {"version": "4.2.0"}, "deploy-4.2.0")
    run: str = site.ask("POST", "/workflows/release/execute", {"payload": {"folder": "scripts", "file": "README.md"}})[
        "runId"
    ]
    site.until("/status", lambda found: found["tasks"]["pending"] + found["tasks"]["running"] == 0)
    site.until(f"/workflow-runs/{run}", lambda found: found["finishedAt"] is not None)
    site.submit("transcode", {"file": "keynote.mov", "format": "av1", "token": "not shown"}, "keynote")
    site.until("/tasks/keynote", lambda found: found["status"] == "running")
    site.ask("POST", "/keys", {"name": "build server", "scopes": ["scripts:read", "tasks:read"]})
    return run


@dataclass(frozen=True)
class Screen:
    """One picture. `ready`: a selector of what has to be there; `phone`: also taken as a phone shows it."""

    name: str
    path: str
    ready: str
    phone: bool = False
    do: Callable[[Page], None] | None = None


def _logged(page: Page) -> None:
    page.get_by_text("::progress 66").first.wait_for()


def screens(run: str) -> list[Screen]:
    return [
        Screen("overview", "/", "main svg", phone=True),
        Screen("scripts", "/scripts", "main table, main .card"),
        Screen("script", "/scripts/render-report", "main form"),
        Screen("tasks", "/tasks", "main tbody tr", phone=True),
        Screen("task", "/tasks/keynote", "main .log", phone=True, do=_logged),
        Screen("task-failed", "/tasks/deploy-4.2.0", "main .log"),
        Screen("task-artifacts", "/tasks/report", "main .log"),
        Screen("workflows", "/workflows", "main tbody tr"),
        Screen("workflow", "/workflows/release", "main .graph-node"),
        Screen("workflow-run", f"/workflow-runs/{run}", "main .graph-node"),
        Screen("schedules", "/schedules", "main tbody tr"),
        Screen("schedule", "/schedules/nightly-backup", "main h1"),
        Screen("workers", "/workers", "main tbody tr"),
        Screen("worker", "/workers/mill-1", "main h1"),
        Screen("register", "/register", "main h1"),
        Screen("keys", "/keys", "main tbody tr"),
        Screen("audit", "/audit", "main tbody tr"),
        Screen("login", "/login", "main form"),
    ]


def take(browser: Browser, site: Site, each: Screen, size: tuple[int, int], scheme: Any, into: Path) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
    )
    try:
        if each.name != "login":
            context.request.post(f"{site.url}/api/v1/session", headers={"X-API-Key": site.key})
        page = context.new_page()
        page.goto(site.url + each.path)
        page.locator(each.ready).first.wait_for()
        if each.do:
            each.do(page)
        page.wait_for_load_state("load")
        # What is asked for after the first drawing. The stream of events never ends: there is no quiet to wait for.
        page.wait_for_timeout(400)
        page.evaluate(
            _RENAME, [[str(site.home), "/srv/jobs"], [sys.prefix, "/opt/penstock"], [os.uname().nodename, "forge"]]
        )
        name = f"{each.name}{'-phone' if size == PHONE else ''}-{scheme}.png"
        (into / name).write_bytes(small(page.screenshot()))
    finally:
        context.close()


def small(png: bytes) -> bytes:
    """The same picture with as few colours as it needs to be small."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in _COLOURS:
        packed = io.BytesIO()
        picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            packed, "PNG", optimize=True
        )
        if packed.tell() <= MOST_BYTES:
            break
    return packed.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=SCREENS)
    parser.add_argument("--wide", action="store_true", help="also every view on a phone")
    parser.add_argument("--only", help="the names of views, by commas")
    chosen = parser.parse_args()
    found = shutil.which("chromium")
    if found is None:
        print("chromium is needed: apt-get install chromium", file=sys.stderr)
        return 1
    chosen.into.mkdir(parents=True, exist_ok=True)
    with running_site() as site, sync_playwright() as playwright:
        run = give_work(site)
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        for each in screens(run):
            if chosen.only and each.name not in chosen.only.split(","):
                continue
            for scheme in ("light", "dark"):
                take(browser, site, each, DESK, scheme, chosen.into)
                if each.phone or chosen.wide:
                    take(browser, site, each, PHONE, scheme, chosen.into)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
