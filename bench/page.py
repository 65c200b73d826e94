"""Page: how long the server works until a list can be painted, with many tasks in the store."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import sys
import tempfile
from pathlib import Path

from bench.api import PENSTOCK, serving
from bench.history import SCRIPTS, Grown
from bench.http_load import Asked, ask
from bench.measuring import Row, Table, WrongCount, cpu, percentile, tree
from bench.program import options, positive, progress, report
from worker.embedded import Embedded
from worker.model.api_key import NewKey
from worker.store import connect
from worker.store.api_keys import ApiKeys

_API = "/api/v1"
_FILE = re.compile(rb'(?:src|href)="(/assets/[^"]+)"')
_IMPORT = re.compile(rb"^import |\bimport\(", re.MULTILINE)
# What the views of these ask for.
_LISTS = {
    "the list of tasks": (f"{_API}/tasks?limit=50",),
    "those of one script that failed": (f"{_API}/tasks?script={SCRIPTS[1]}&status=failed&limit=50",),
    "those with a text": (f"{_API}/tasks?q=upload&limit=50",),
    "the overview": (
        f"{_API}/status/history?hours=24&buckets=48",
        f"{_API}/status",
        f"{_API}/tasks?status=running&limit=8",
        f"{_API}/tasks?status=failed&status=exception&status=timeout&since=2020-01-01&limit=8",
        f"{_API}/schedules",
    ),
}
JUDGED = "the list of tasks"


def measure(tasks: int, visits: int = 50) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="pb") as folder:
        home = Path(folder)
        (home / "config").mkdir()
        (home / "config" / "penstock.yaml").write_text(json.dumps({"stateDir": "s", "api": {"rateLimit": "none"}}))
        with Embedded(home / "s" / "store") as store:
            key = asyncio.run(_filled(store.url, tasks))
            with serving([*PENSTOCK, "-C", folder, "api", "--port", "0"]) as (process, port):
                return [_visited(process.pid, port, key, tasks, visits)]


async def _filled(url: str, tasks: int) -> str:
    redis = connect(url)
    try:
        await Grown(redis).grow(tasks)
        return (await ApiKeys(redis).create(NewKey("bench", frozenset({"*"})))).text
    finally:
        await redis.aclose()


def _visited(pid: int, port: int, key: str, tasks: int, visits: int) -> Table:
    cookie = _logged_in(port, key)
    files = _files(port)
    rows: list[Row] = []
    found = {}
    for name, lists in _LISTS.items():
        progress(f"page: {visits} visits to {name}")
        for first in (True, False):
            paths = ["/tasks", *(files if first else ()), f"{_API}/session", *lists]
            before = cpu(tree(pid))
            asked = _asked(port, cookie, paths, visits)
            each = [sum(asked.took_ms[n * len(paths) : (n + 1) * len(paths)]) for n in range(visits)]
            used_ms = cpu(tree(pid)).since(before).own_s * 1000 / visits
            rows.append(
                {
                    "view": name,
                    "files": "all" if first else "kept by the browser",
                    "requests": len(paths),
                    "p50 ms": percentile(each, 50),
                    "p99 ms": percentile(each, 99),
                    "server CPU ms": used_ms,
                }
            )
            if name == JUDGED and first:
                found["first paint"] = percentile(each, 99)
    progress("")
    title = f"Page: time of the server until a view can be painted, {tasks:,} tasks in the store, {visits} visits each"
    return Table(title, rows, found={**found, "size of first paint": float(tasks)})


def _asked(port: int, cookie: str, paths: list[str], visits: int) -> Asked:
    """One after the other, as if a browser waited for each: it asks for many at a time, so this is the most."""
    texts = [
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\nCookie: {cookie}\r\n\r\n".encode()
        for path in paths
    ]
    return ask(port, lambda number: texts[number % len(texts)], visits * len(texts), 1)


def _logged_in(port: int, key: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", f"{_API}/session", headers={"X-API-Key": key})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 201:
        raise WrongCount(f"page: the log-in was answered with {answer.status}")
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def _files(port: int) -> list[str]:
    """What the shell names; a module that it imports would be one more, and there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def read(path: str) -> bytes:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise WrongCount(f"page: {path} was answered with {answer.status}")
        return answer.read()

    found = [name.decode() for name in _FILE.findall(read("/tasks"))]
    for path in found:
        if _IMPORT.search(read(path)):
            raise WrongCount(f"page: {path} imports a file that is not counted")
    connection.close()
    return found


def main() -> int:
    parser = options(__doc__, rounds=1)
    parser.add_argument("--tasks", type=positive, default=100_000, help="finished tasks in the store")
    chosen = parser.parse_args()
    tasks, visits = (1000, 3) if chosen.quick else (chosen.tasks, 50)
    return report([lambda: measure(tasks, visits)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
