"""API: how many requests a second the HTTP API answers, beside a bare FastAPI route, and how late streams come."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.flood import YES
from bench.http_load import Asked, ask, follow
from bench.measuring import Row, Table, WrongCount, cpu, median_ratio, percentile, pss_mb, tree, turned
from bench.program import options, positive, progress, report
from bench.systems import ROOT, PenstockWorker, Script, end, payloads
from bench.throughput import COMMAND
from worker.model.api_key import NewKey
from worker.store import connect
from worker.store.api_keys import ApiKeys

BARE = "bare FastAPI route"
_STEADY = Path(__file__).with_name("steady.py")
_FLOODED_S = 0.5
_AT_ONCE = 16
_LISTED = 50

Request = Callable[[int], bytes]


class Served(PenstockWorker):
    """A worker with the HTTP API beside it. What `held` is sent waits where no worker looks."""

    def command(self) -> list[str]:
        arguments = super().command()
        settings = {
            "stateDir": "s",
            "worker": {"name": "bench", "queues": ["penstock"]},
            "api": {"rateLimit": "none"},
        }
        (self.folder / "config" / "penstock.yaml").write_text(json.dumps(settings))
        held = self.folder / "config" / "scripts" / "held.yaml"
        held.write_text(json.dumps({**json.loads(held.read_text()), "queue": "held"}))
        return arguments

    def key(self) -> str:
        async def make() -> str:
            redis = connect(self.store.url)
            try:
                return (await ApiKeys(redis).create(NewKey("bench", frozenset({"*"})))).text
            finally:
                await redis.aclose()

        return asyncio.run(make())


def measure(count: int, rounds: int, readers: int = 200, per_s: int = 1000, seconds: int = 4) -> list[Table]:
    scripts = {"held": Script(COMMAND), "flood": Script(YES)}
    scripts["steady"] = Script([sys.executable, "-I", "-S", str(_STEADY), str(per_s), str(seconds)])
    with Served(scripts, 8) as worker, serving([*PENSTOCK, "-C", str(worker.folder), "api", "--port", "0"]) as ours:
        process, port = ours
        memory = [pss_mb(tree(process.pid))]
        requests = _requests(worker.key(), port)
        with serving([sys.executable, "-m", "bench.bare_api"]) as (bare, bare_port):
            requests = {
                BARE: (bare_port, bare.pid, _get("/bare", "", bare_port), b"200"),
                **{name: (port, process.pid, request, status) for name, (request, status) in requests.items()},
            }
            tables = [_rates(requests, count, rounds)]
            memory.append(pss_mb(tree(process.pid)))
            tables.append(_streamed(worker, process.pid, port, readers, per_s * seconds))
            memory.append(pss_mb(tree(process.pid)))
            tables.append(_flooded(worker, requests, count))  # the last: it ends with the worker
        rows: list[Row] = [
            {"when": when, "PSS MB": mb}
            for when, mb in zip(("idle", "after the requests", f"after {readers} readers"), memory, strict=True)
        ]
        return [*tables, Table("API memory: PSS of the server's process", rows, found={"API memory": memory[-1]})]


_Asked = dict[str, tuple[int, int, Request, bytes]]
PENSTOCK = [sys.executable, "-m", "worker.cli.main"]


def _requests(key: str, port: int) -> dict[str, tuple[Request, bytes]]:
    found = []
    for number, payload in enumerate(payloads(_LISTED)):
        found.append(_post(json.dumps({"payload": payload, "id": f"listed{number}"}), key, port))
    for request in found:
        ask(port, lambda _, request=request: request, 1, 1, b"202")  # type: ignore[misc]
    body = [json.dumps({"payload": payload}) for payload in payloads(200)]
    submits = [_post(each, key, port) for each in body]
    return {
        "read one task": (_get("/api/v1/tasks/listed1", key, port), b"200"),
        f"list {_LISTED} tasks": (_get(f"/api/v1/tasks?limit={_LISTED}", key, port), b"200"),
        "submit, async": (lambda number: submits[number % len(submits)], b"202"),
    }


def _get(path: str, key: str, port: int) -> Request:
    text = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {key or 'none'}\r\n\r\n".encode()
    return lambda _: text


def _post(body: str, key: str, port: int) -> bytes:
    head = f"POST /api/v1/scripts/held/execute?async=true HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-API-Key: {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def _rates(requests: _Asked, count: int, rounds: int) -> Table:
    cases = [f"{name}, {connections} at once" for name in requests for connections in (1, _AT_ONCE)]
    asked: dict[str, list[Asked]] = {case: [] for case in cases}
    used: dict[str, list[float]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in turned(cases, number):
            progress(f"api: round {number + 1} of {rounds}, {case}")
            name, _, connections = case.removesuffix(" at once").rpartition(", ")
            port, pid, request, status = requests[name]
            before = cpu(tree(pid))
            asked[case].append(ask(port, request, count, int(connections), status))
            used[case].append(cpu(tree(pid)).since(before).own_s * 1000 / count)
    progress("")
    rows: list[Row] = []
    for case in cases:
        name, _, rest = case.rpartition(", ")
        together = [ms for one in asked[case] for ms in one.took_ms]
        rates = [one.per_s for one in asked[case]]
        rows.append(
            {
                "request": name,
                "at once": int(rest.split()[0]),
                "requests/s": statistics.median(rates),
                "of the bare route": median_ratio(rates, [one.per_s for one in asked[f"{BARE}, {rest}"]]),
                "p50 ms": percentile(together, 50),
                "p99 ms": percentile(together, 99),
                "server CPU ms": statistics.median(used[case]),
            }
        )
    title = f"API: {count:,} requests to one server, medians of {rounds} rounds"
    return Table(title, rows, raw={case: [one.per_s for one in asked[case]] for case in cases})


def _flooded(worker: Served, requests: _Asked, count: int) -> Table:
    rows: list[Row] = []
    alone = {}
    for beside in ("nothing else", "a run that floods its log"):
        if rows:
            worker.send("flood", payloads(1)[0])
            time.sleep(_FLOODED_S)
        for name, (port, _, request, status) in requests.items():
            progress(f"api: {name} beside {beside}")
            p99 = percentile(ask(port, request, count, 1, status).took_ms, 99)
            rows.append(
                {"request": name, "beside": beside, "p99 ms": p99, "p99 is times": p99 / alone.setdefault(name, p99)}
            )
    progress("")
    return Table(f"API beside a flood: {count:,} requests, one at a time", rows)


def _streamed(worker: Served, pid: int, port: int, readers: int, lines: int) -> Table:
    progress(f"api: {readers} readers of one log")
    key = worker.key()
    task_id = worker.send("steady", payloads(1)[0])
    request = _get(f"/api/v1/tasks/{task_id}/stream", key, port)
    while True:  # its message has not been received yet
        try:
            ask(port, _get(f"/api/v1/tasks/{task_id}", key, port), 1, 1)
            break
        except WrongCount:
            time.sleep(0.01)
    before, begun = cpu(tree(pid)), time.perf_counter()
    found = asyncio.run(follow(port, request(0), readers))
    seconds = time.perf_counter() - begun
    used = cpu(tree(pid)).since(before).own_s
    progress("")
    if min(found.lines) < lines or len(set(found.lines)) != 1:
        raise WrongCount(f"readers saw {min(found.lines)} to {max(found.lines)} lines of {lines}")
    row: Row = {
        "readers": readers,
        "lines of each": lines,
        "lines/s to all": sum(found.lines) / seconds,
        "lag p50 ms": percentile(found.lags_ms, 50) if found.lags_ms else None,
        "lag p99 ms": percentile(found.lags_ms, 99) if found.lags_ms else None,
        "server CPU s": used,
        "seconds": seconds,
    }
    return Table(f"API streams: one log to {readers} readers, no line missing", [row])


@contextmanager
def serving(arguments: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process, and its port, which it tells on stdout when it listens."""
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout
        said = process.stdout.readline()
        if "listening on" not in said:
            raise WrongCount(f"{' '.join(arguments[1:4])} does not serve")
        yield process, int(said.rstrip().rpartition(":")[2])
    finally:
        end(process)
        if process.stdout:
            process.stdout.close()


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--requests", type=positive, default=500, help="of each kind, in each round")
    parser.add_argument("--readers", type=positive, default=200, help="of one stream")
    chosen = parser.parse_args()
    if chosen.quick:
        return report([lambda: measure(20, 1, 3, 200, 1)], chosen.json)
    return report([lambda: measure(chosen.requests, chosen.rounds, chosen.readers)], chosen.json)


if __name__ == "__main__":
    sys.exit(main())
