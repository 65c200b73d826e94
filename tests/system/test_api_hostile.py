"""What comes from hostile hands over a raw connection, or lies in hostile files: framing, paths, names, sizes."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

import psutil
import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import BASE, Api, running_api

LARGE = 200 * 1024 * 1024
# Of a hundred and fifty characters, no control among them: those are refused when artifacts are collected.
NAMES = (
    'a"; filename="evil.exe',
    "a; filename*=UTF-8''evil.exe",
    "a%0d%0aSet-Cookie: x=1",
    "a, attachment",
    "..%2f..%2fetc%2fpasswd",
    "q?x=1#y",
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}\N{SNOWMAN}\N{PILE OF POO}.html",
    "a' b.svg",
    "-rf",
    " blank",
)


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0, "bodyTimeout": "500ms"}}))
    d.file("names.json", json.dumps(NAMES))
    program = "import json, sys; [open('artifacts/' + n, 'w').write(n) for n in json.load(open(sys.argv[1]))]"
    d.script("names", ["/usr/bin/env", "python3", "-c", program, str(d.home / "names.json")], {})
    d.script("large", f"truncate -s {LARGE} artifacts/large.bin; printf end >> artifacts/large.bin", {})
    for running in running_api(d):
        assert running.post("/scripts/names/execute", {"id": "names"}).json["status"] == "completed"
        yield running


def head(api: Api, *lines: str, method: str = "POST", path: str = "/scripts/names/validate") -> bytes:
    own = (f"{method} {BASE}{path} HTTP/1.1", f"Host: {api.host}", f"X-API-Key: {api.key}", *lines)
    return "".join(f"{line}\r\n" for line in (*own, "")).encode("latin-1")


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3})", answer)]


JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ((JSON, "Content-Length: 6", CHUNKED), b"0\r\n\r\n"),
        ((JSON, CHUNKED, "Content-Length: 2"), b"2\r\n{}\r\n0\r\n\r\n"),
        ((JSON, "Content-Length: 2", "Content-Length: 5"), b"{}"),
        ((JSON, "Content-Length: 2, 5"), b"{}"),
        ((JSON, "Content-Length: +2"), b"{}"),
        ((JSON, "Content-Length: 0x2"), b"{}"),
        ((JSON, "Content-Length: -1"), b"{}"),
        ((JSON, "Content-Length: 99999999999999999999999"), b"{}"),
        ((JSON, "Transfer-Encoding: xchunked"), b"0\r\n\r\n"),
        ((JSON, "Transfer-Encoding: identity, chunked"), b"0\r\n\r\n"),
        ((JSON, CHUNKED, CHUNKED), b"0\r\n\r\n"),
        ((JSON, "Transfer-Encoding : chunked"), b"0\r\n\r\n"),
        ((JSON, "Transfer-Encoding:\x0bchunked"), b"0\r\n\r\n"),
        ((JSON, CHUNKED), b"-1\r\n\r\n"),
        ((JSON, CHUNKED), b"2;x=\n\r\n{}\r\n0\r\n\r\n"),
        ((JSON, CHUNKED), b"ffffffffffffffffffff\r\n{}"),
        ((JSON, "Content-Length: 5", "X-A: 1\nTransfer-Encoding: chunked"), b"0\r\n\r\n"),
        ((JSON, "Content-Length: 2", "X-A: 1\nContent-Length: 0"), b"{}"),
        (("X-A: 1\rX-B: 2",), b""),
        (("X-A: \x00",), b""),
    ],
)
def test_no_second_request_hides_behind_an_ambiguous_one(api: Api, lines: tuple[str, ...], body: bytes) -> None:
    """Nothing after it is answered as a request of its own, whatever a proxy took for its end."""
    hidden = head(api, "Connection: close", method="GET", path="/me")
    answer = api.raw(head(api, *lines) + body + hidden)
    found = statuses(answer)
    assert len(found) <= 1 and all(400 <= status < 500 for status in found), answer[:200]
    assert b'"keyId"' not in answer


def test_requests_that_follow_each_other_are_both_answered(api: Api) -> None:
    first = head(api, JSON, "Content-Length: 2") + b"{}"
    last = head(api, "Connection: close", method="GET", path="/me")
    assert statuses(api.raw(first + last)) == [200, 200]


@pytest.mark.parametrize(
    "line",
    [
        "GET http://evil.example/api/v1/me HTTP/1.1",
        "GET //evil.example/api/v1/me HTTP/1.1",
        "GET /api/v1/../v1/me HTTP/1.1",
        "GET /api/v1/%2e%2e/v1/me HTTP/1.1",
        "GET /api%2fv1%2fstatus%2f HTTP/1.1",
        "GET /api/v1/me%00 HTTP/1.1",
        "GET /api/v1/me/ HTTP/1.1",
        "GET /api/v1//me HTTP/1.1",
        "GET /api/v1/me;x=1 HTTP/1.1",
        "GET \\api\\v1\\me HTTP/1.1",
        "GET /api/v1/me",
        "GET /api/v1/me HTTP/9.9",
        "GET /api/v1/me HTTP/1.1 HTTP/1.1",
        "PRI * HTTP/2.0",
        "CONNECT evil.example:443 HTTP/1.1",
        "GET * HTTP/1.1",
        "get /api/v1/me HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_a_line_that_is_none_of_ours_leads_nowhere(api: Api, line: str) -> None:
    own = (line, f"Host: {api.host}", f"X-API-Key: {api.key}", "Connection: close", "", "")
    answer = api.raw("\r\n".join(own).encode("latin-1"))
    assert all(status in (400, 401, 404, 405, 505) for status in statuses(answer)), answer[:200]
    assert b'"keyId"' not in answer and b"Location" not in answer


def test_names_of_artifacts_are_told_exactly_and_break_no_header(api: Api) -> None:
    listed = [artifact["name"] for artifact in api.get("/tasks/names/artifacts").json["artifacts"]]
    assert sorted(listed) == sorted(NAMES)
    for name in NAMES:
        answer = api.get(f"/tasks/names/artifacts/{quote(name, safe='')}")
        assert (answer.status, answer.body.decode()) == (200, name)
        told = answer.headers["content-disposition"]
        found = re.fullmatch(r"(inline|attachment); filename=\"([A-Za-z0-9._ -]*)\"; filename\*=UTF-8''([!-~]*)", told)
        assert found, told
        assert unquote(found[3]) == name and not set(found[3]) & set("\"';, ")
        assert "set-cookie" not in answer.headers
        if name.endswith((".html", ".svg")):
            assert found[1] == "attachment"


def test_a_large_artifact_is_read_in_parts_and_takes_no_memory(api: Api, shared_deployment: Deployment) -> None:
    api.post("/scripts/large/execute", {"id": "large"})
    (artifact,) = api.get("/tasks/large/artifacts").json["artifacts"]
    assert artifact["size"] == LARGE + 3
    path = "/tasks/large/artifacts/large.bin"
    for asked, told, body in (
        ("bytes=-3", f"bytes {LARGE}-{LARGE + 2}/{LARGE + 3}", b"end"),
        (f"bytes={LARGE - 1}-{LARGE}", f"bytes {LARGE - 1}-{LARGE}/{LARGE + 3}", b"\0e"),
        (f"bytes={LARGE}-{'9' * 19}", f"bytes {LARGE}-{LARGE + 2}/{LARGE + 3}", b"end"),
    ):
        part = api.get(path, Range=asked)
        assert (part.status, part.headers["content-range"], part.body) == (206, told, body)
    for behind in (f"bytes={LARGE + 3}-", "bytes=-0", "bytes=5-4", f"bytes={'9' * 19}-"):
        assert api.get(path, Range=behind).error == (416, "range-not-satisfiable"), behind
    (server,) = (p for p in psutil.process_iter(["cmdline"]) if _serves(p, shared_deployment))
    before = server.memory_info().rss
    connection = http.client.HTTPConnection(api.host, api.port, timeout=60)
    connection.request("GET", BASE + path, headers={"X-API-Key": api.key or ""})
    response = connection.getresponse()
    total = most = 0
    while block := response.read(8 * 1024 * 1024):
        total += len(block)
        most = max(most, server.memory_info().rss)
    connection.close()
    assert total == LARGE + 3
    assert most - before < 32 * 1024 * 1024


def _serves(process: psutil.Process, deployment: Deployment) -> bool:
    words = process.info["cmdline"] or []
    return "--socket" in words and str(deployment.home) in words


def test_whoever_takes_a_part_and_leaves_harms_nobody(api: Api) -> None:
    for _ in range(20):
        connection = http.client.HTTPConnection(api.host, api.port, timeout=30)
        connection.request("GET", f"{BASE}/tasks/large/artifacts/large.bin", headers={"X-API-Key": api.key or ""})
        connection.getresponse().read(10)
        connection.close()
    assert api.get("/me").status == 200
