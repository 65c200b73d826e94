"""The page on the HTTP API is true: each line works when it is pasted, and every route has one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.system.conftest import Deployment
from tests.system.doc_examples import blocks, commands
from tests.system.http_client import gone_worker, running_api

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()
# Tells the status of each call on a line of its own, whatever the answer is.
CURL = """curl() { echo "$(command curl -sS -o answer -w '%{http_code}' "$@") $*"; }
"""


def test_each_line_of_the_page_works_and_every_route_has_one(deployment: Deployment) -> None:
    for part in ("config", "scripts", "README.md"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, deployment.home / part, **({"dirs_exist_ok": True} if (ROOT / part).is_dir() else {}))
    for block in blocks(PAGE):
        if block.file:
            deployment.file(block.file, block.text)
    lines = [command.text for block in blocks(PAGE) if block.language == "console" for command in commands(block.text)]
    for api in running_api(deployment):
        gone_worker(deployment, "old-host")
        routes = api.get("/openapi.json").json["paths"]
        script = CURL + "\n".join(lines).replace("127.0.0.1:8765", f"{api.host}:{api.port}")
        # One of them is stopped by curl, and has had its answer by then.
        done = subprocess.run(["bash", "-ec", script], cwd=deployment.home, capture_output=True, timeout=60, check=True)
        called = done.stdout.decode().splitlines()
        assert [line for line in called if line[0] != "2"] == []
        assert len(called) == sum(line.startswith("curl") for line in lines)
    wanted = {(method.upper(), path) for path, operations in routes.items() for method in operations}
    for line in called:
        wanted -= {(method, path) for method, path in wanted if method == _method(line) and _leads_to(line, path)}
    assert wanted == set()


def _method(line: str) -> str:
    found = re.search(r"-X ([A-Z]+)", line)
    return found[1] if found else "POST" if "--json" in line else "GET"


def _leads_to(line: str, path: str) -> bool:
    url = re.search(r"http://[^/]+(/[^ ?]*)", line)
    assert url, line
    pattern = re.sub(r"\{[a-z_]+(:path)?\}", "[^/]+", path).replace("/artifacts/[^/]+", "/artifacts/.+")
    return re.fullmatch(pattern, url[1]) is not None


def test_a_worker_and_the_command_line_import_nothing_of_the_api() -> None:
    program = (
        "import sys, worker.cli.main, worker.cli.up, worker.cli.working, worker.cli.api, worker.daemons.worker\n"
        "import worker.daemons.listening, worker.daemons.serving, worker.daemons.consumer\n"
        "print(sorted({'fastapi', 'uvicorn', 'pydantic', 'starlette', 'h11', 'joserfc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
