"""What the HTTP API refuses: for every route who may not, what is not there, and what comes from hostile hands."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.system.conftest import Deployment
from tests.system.http_client import BASE, Api, audit_of, make_key, running_api
from tests.system.site import eventually

# What stands for the parameters of paths: a new one has to be added here, so that no route goes untested.
THERE = (
    ("/scripts/{name}", "/scripts/registered"),
    ("/artifacts/{name}", "/artifacts/a.txt"),
    ("/workflows/{name}", "/workflows/say"),
    ("/schedules/{name}", "/schedules/say"),
    ("/workers/{name}", "/workers/w1"),
    ("{task_id}", "t1"),
    ("{target}", "_any"),
    ("{run_id}", "r1"),
    ("{key_id}", "aaaaaaaa"),
    ("{number}", "1"),
)
OPEN = ("/healthz", "/readyz")
ANY_PROOF = ("/api/v1/openapi.json", "/api/v1/me", "/api/v1/session")
# Theirs may be read with less than all of them: such a list leaves the others out.
LISTS = ("/api/v1/scripts", "/api/v1/tasks", "/api/v1/executions", "/api/v1/events", "/api/v1/status/history")
NOT_THERE = ("nothing", "..", "%2e%2e%2fetc%2fpasswd", "%2e%2e", "a%00b", "%0d%0aX:%201", "x" * 200, "%ff%fe", "%2f")
DAILY = {"script": "say", "cronExpression": "@daily"}
CONFLICTS: dict[tuple[str, str], tuple[str, Any, str]] = {
    ("POST", "/workflows"): (
        "/workflows",
        {"name": "say", "steps": [{"name": "a", "script": "say"}]},
        "workflow-exists",
    ),
    ("PUT", "/workflows/{name}"): ("/workflows/of-a-file", None, "read-only"),
    ("DELETE", "/workflows/{name}"): ("/workflows/of-a-file", None, "read-only"),
    ("POST", "/workflows/{name}/execute"): ("/workflows/off/execute", None, "workflow-disabled"),
    **{
        ("POST", f"/workers/{{target}}/{verb}"): (f"/workers/_any/{verb}", body, "no-worker")
        for verb, body in (("exec", {"program": "x"}), ("shell", {"text": "x"}))
    },
    ("POST", "/scripts"): ("/scripts", {"name": "say"}, "conflict"),
    **{
        ("POST", f"/scripts/{{name}}/{verb}"): (f"/scripts/say/{verb}", {"id": "t1", "payload": {"n": 1}}, "conflict")
        for verb in ("execute", "dry-run")
    },
    ("PUT", "/scripts/{name}"): ("/scripts/say", None, "declared-in-file"),
    ("DELETE", "/scripts/{name}"): ("/scripts/say", None, "declared-in-file"),
    ("POST", "/scripts/{name}/approvals"): ("/scripts/say/approvals", None, "declared-in-file"),
    ("POST", "/schedules"): ("/schedules", {"name": "say", **DAILY}, "conflict"),
    ("PUT", "/schedules/{name}"): ("/schedules/of-a-file", DAILY, "read-only"),
    ("PATCH", "/schedules/{name}"): ("/schedules/of-a-file", {"overlap": "allow"}, "read-only"),
    ("DELETE", "/schedules/{name}"): ("/schedules/of-a-file", None, "read-only"),
    ("POST", "/schedules/{name}/enable"): ("/schedules/of-a-file/enable", None, "read-only"),
    ("POST", "/schedules/{name}/disable"): ("/schedules/of-a-file/disable", None, "read-only"),
    ("POST", "/schedules/{name}/trigger"): ("/schedules/of-what-is-gone/trigger", None, "not-submitted"),
    ("DELETE", "/workers/{name}"): ("/workers/w1", None, "worker-lives"),
    ("GET", "/workers/{name}/log"): ("/workers/w1/log", None, "no-log"),
    ("POST", "/workflow-runs/{run_id}/cancel"): ("/workflow-runs/r1/cancel", None, "final"),
    ("POST", "/workflow-runs/{run_id}/rerun"): ("/workflow-runs/r1/rerun", None, "nothing-to-rerun"),
    ("POST", "/keys/{key_id}/rotate"): ("/keys/{revoked}/rotate", None, "not-active"),
    **{
        (method, f"/{base}/{{task_id}}{rest}"): (f"/{base}/{task}{rest}", None, code)
        for base in ("tasks", "executions")
        for method, task, rest, code in (
            ("POST", "t1", "/cancel", "final"),
            ("POST", "waits", "/rerun", "not-final"),
            ("DELETE", "waits", "", "not-final"),
            ("GET", "waits", "/result", "not-final"),
            ("GET", "waits", "/log/index", "not-final"),
        )
    },
}

# Where a body is held against a schema of its own.
WRONG_BODIES = {
    "/scripts": (400, "invalid-registration"),
    "/scripts/{name}": (400, "invalid-registration"),
    "/workflows": (422, "invalid-workflow"),
    "/workflows/{name}": (422, "invalid-workflow"),
}


@dataclass(frozen=True)
class Route:
    """`template` is how the document names it, `path` one that is there; both without the base."""

    method: str
    template: str
    operation: Any

    @property
    def path(self) -> str:
        path = self.template
        for parameter, value in THERE:
            path = path.replace(parameter, value)
        assert "{" not in path, f"a parameter that no test knows: {self.template}"
        return path

    @property
    def whole(self) -> str:
        return self.template if self.template in (*OPEN, "/metrics") else BASE + self.template

    def leads(self, path: str) -> bool:
        """Whether the path, without a query, may be one of this route's."""
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.template))
        return re.fullmatch(pattern, path) is not None

    def answers(self, status: int) -> bool:
        return str(status) in self.operation["responses"]

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


@pytest.fixture(scope="module")
def routes(api: Api) -> list[Route]:
    paths = api.get("/openapi.json").json["paths"]
    return [
        Route(method.upper(), path.removeprefix(BASE), operation)
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    settings = {"port": 0, "maxBody": 2000, "bodyTimeout": "300ms", "origins": ["https://page.example"]}
    shared_deployment.file("config/penstock.yaml", json.dumps({"api": settings, "worker": {"name": "w1"}}))
    shared_deployment.script("say", "echo hi; echo a > artifacts/a.txt", {"additionalProperties": True})
    shared_deployment.script("waits", "sleep 600", {}, killGrace=0)
    shared_deployment.script("strict", "exit 0", {"properties": {"n": {"type": "integer"}}, "required": ["n"]})
    shared_deployment.script("off", "exit 0", {}, enabled=False)
    shared_deployment.file("config/workflows/of-a-file.yaml", "steps: [{name: a, script: say}]")
    shared_deployment.file("config/schedules/of-a-file.yaml", json.dumps(DAILY))
    shared_deployment.file("scripts/registered.sh", "exit 0").chmod(0o755)
    shared_deployment.script("wet", "exit 0", {}, plugins={"disabled": ["dryRun"]})
    for running in running_api(shared_deployment):
        assert running.post("/scripts/say/execute", {"id": "t1"}).status == 200
        assert running.post("/scripts/waits/execute?async=true", {"id": "waits"}).status == 202
        for name, more in (("say", {}), ("off", {"enabled": False})):
            saved = running.post("/workflows", {"name": name, "steps": [{"name": "a", "script": "say"}], **more})
            assert saved.status == 201
        assert running.post("/workflows/say/execute", {"id": "r1"}).status == 202
        for name in ("registered", "gone"):
            new = {"name": name, "path": "scripts/registered.sh", "parameters": []}
            assert running.post("/scripts", new).status == 201
        for name, script in (("say", "say"), ("of-what-is-gone", "gone")):
            assert running.post("/schedules", {**DAILY, "name": name, "script": script}).status == 201
        assert running.delete("/scripts/gone").status == 204
        eventually(lambda: running.get("/workflow-runs/r1").json["status"] == "completed", "the run of a workflow")
        yield running
        assert running.post("/tasks/waits/cancel").status == 202


@pytest.fixture(scope="module")
def nobody(api: Api, shared_deployment: Deployment) -> Api:
    return api.with_key(make_key(shared_deployment, "nobody", "schedules:read:nothing"))


def test_every_route_needs_a_proof(api: Api, routes: list[Route]) -> None:
    for route in routes:
        if route.whole in OPEN:
            assert api.with_key(None).send(route.method, route.path).status == 200
            continue
        assert route.operation["security"] and route.answers(401), route
        for key in (None, "penstock_aaaaaaaa_" + "A" * 43, "*", "é".encode().decode("latin-1")):
            answer = api.with_key(key).send(route.method, route.path)
            assert answer.error == (401, "unauthorized"), route
            assert answer.headers["www-authenticate"] == "Bearer"


def test_every_route_needs_its_scope(nobody: Api, routes: list[Route]) -> None:
    for route in routes:
        answer = nobody.send(route.method, route.path)
        if route.whole in (*OPEN, *ANY_PROOF):
            assert answer.status in (200, 201, 204), route
        else:
            assert answer.error == (403, "not-allowed"), route
            assert route.answers(403), route


def test_the_rights_on_one_script_are_none_on_another(
    api: Api, shared_deployment: Deployment, routes: list[Route]
) -> None:
    of_script = [f"scripts:{verb}:strict" for verb in ("read", "execute", "write")]
    of_task = [f"tasks:{verb}:strict" for verb in ("read", "cancel", "delete")]
    narrow = api.with_key(make_key(shared_deployment, "narrow", *of_script, "tasks:*"))
    for route in routes:
        if route.whole in LISTS:
            if "events" not in route.whole:
                assert b"say" not in narrow.send(route.method, route.path).body, route
        elif "{task_id}" in route.template:
            assert narrow.send(route.method, route.path).error == (404, "unknown-task"), route
        elif route.whole not in (*OPEN, *ANY_PROOF):
            assert narrow.send(route.method, route.path).error == (403, "not-allowed"), route
    # Nor does a third part that a scope of tasks does not have.
    narrower = api.with_key(make_key(shared_deployment, "narrower", *of_script, *of_task))
    for route in routes:
        if route.whole in LISTS[1:] or "{task_id}" in route.template:
            assert narrower.send(route.method, route.path).error == (403, "not-allowed"), route
    assert narrow.get("/scripts/strict").status == 200


def test_every_route_knows_what_is_not_there(api: Api, routes: list[Route]) -> None:
    for route in routes:
        if "{" not in route.template:
            continue
        assert route.answers(404), route
        for name in NOT_THERE:
            missing = route.template
            for parameter in ("{name}", "{task_id}", "{run_id}", "{key_id}", "{target}"):
                missing = missing.replace(parameter, name)
            missing = missing.replace("{number}", "1")
            status, code = api.send(route.method, missing).error
            assert status == 404 and (code == "not-found" or code.startswith("unknown-")), (route, name)


def test_every_body_is_read_strictly(api: Api, routes: list[Route]) -> None:
    here = make_spare(api)
    for route in routes:
        if "requestBody" not in route.operation:
            assert route.method != "POST", route
            continue
        path = route.path.replace("aaaaaaaa", here)

        def send(body: bytes, content_type: str = "application/json", path: str = path, by: Route = route) -> Any:
            return api.send(by.method, path, body, {"Content-Type": content_type}).error

        bad = (
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"a": NaN}',
            b'{"a": 1, "a": 2}',
            b"\xef\xbb\xbf{}",
            b'{"a": "\\ud800"}',
        )
        for body in (*bad, b'{"x":' * 200 + b"1" + b"}" * 200):
            assert send(body) == (400, "invalid-json"), (route, body)
        if not route.template.endswith("/check"):  # whose answer is that
            wrong = WRONG_BODIES.get(route.template, (422, "invalid-body"))
            assert send(b'{"unknown": 1}') == wrong and route.answers(wrong[0]), route
        for content_type in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx", "*/*"):
            assert send(b"{}", content_type) == (415, "unsupported-media-type"), (route, content_type)
        assert send(b'{"a": "' + b"x" * 3000 + b'"}') == (413, "too-large"), route
        assert all(route.answers(status) for status in (400, 408, 413, 415)), route


def test_no_route_passes_over_a_parameter(api: Api, routes: list[Route]) -> None:
    for route in routes:
        for query in ("unknown=1", "unknown", "%00=1", "x[]=1"):
            assert api.send(route.method, f"{route.path}?{query}").error == (400, "invalid-query"), route


def test_what_has_another_state_is_a_conflict(api: Api, routes: list[Route]) -> None:
    """Each route that names 409."""
    spare = make_spare(api)
    assert api.delete(f"/keys/{spare}").status == 204
    for route in routes:
        if route.answers(409):
            path, body, code = CONFLICTS[route.method, route.template]
            data = json.dumps(body).encode() if body else b""
            kind = {"Content-Type": "application/json"} if body else {}
            answer = api.send(route.method, path.replace("{revoked}", spare), data, kind)
            assert answer.error == (409, code), route


def test_every_route_answers_other_methods_with_those_that_it_has(api: Api, routes: list[Route]) -> None:
    """HEAD and OPTIONS among them; neither has an answer with a body that nobody asked for."""
    for path in {route.path for route in routes}:
        # `/schedules/presets` has those of `/schedules/{name}` besides.
        methods = {route.method for route in routes if route.leads(path)}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - methods:
            answer = api.send(method, path)
            assert answer.error == (405, "method-not-allowed"), (method, path)
            assert set(answer.headers["allow"].split(", ")) <= methods, (method, path)
        head = api.send("HEAD", path)
        assert (head.status, head.body) == (200 if path in OPEN else 405, b""), path


def make_spare(api: Api) -> str:
    made = api.post("/keys", {"name": "spare", "scopes": ["tasks:read"]})
    assert made.status == 201
    spare: str = made.json["id"]
    return spare


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"payload": [], "priority": 1}, "/payload"),
        ({"priority": 10}, "/priority"),
        ({"priority": "1"}, "/priority"),
        ({"priority": 1.5}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"dryRun": "true"}, "/dryRun"),
        ({"id": "../x"}, "/id"),
        ({"id": "a\nb"}, "/id"),
        ({"idempotencyKey": ""}, "/idempotencyKey"),
        ({"idempotencyKey": "a\nb"}, "/idempotencyKey"),
        ({"tags": ["a\r\nSet-Cookie: x"]}, "/tags"),
        ({"tags": "a"}, "/tags"),
        ({"deadline": "yesterday"}, "/deadline"),
        ({"deadline": "2020-01-01"}, "/deadline"),
        ({"deadline": "99999999999999d"}, "/deadline"),
        ({"target": {"label": "gpu"}}, "/target"),
        ({"payload": {}, "parameters": {}}, "/parameters"),
    ],
)
def test_a_wrong_member_of_a_body_is_named(api: Api, body: object, pointer: str) -> None:
    answer = api.post("/scripts/say/execute", body)
    assert answer.error[0] == 422
    assert answer.pointers == [pointer]


def test_a_reason_that_is_too_long_is_not_cut_but_refused(api: Api) -> None:
    answer = api.post("/tasks/t1/cancel", {"why": "x" * 501})
    assert (answer.error, answer.pointers) == ((422, "invalid-body"), ["/why"])


def test_a_wrong_payload_is_told_with_every_violation(api: Api) -> None:
    for verb in ("execute", "dry-run"):
        answer = api.post(f"/scripts/strict/{verb}", {"payload": {"n": "1", "m": 1}})
        assert answer.error == (422, "invalid-payload")
        assert sorted(answer.pointers) == ["/m", "/n"]


def test_what_cannot_be_run_is_a_conflict_or_unsupported(api: Api) -> None:
    assert api.post("/scripts/off/execute").error == (400, "script-disabled")
    assert api.post("/scripts/off/dry-run").error == (400, "script-disabled")
    assert api.post("/scripts/wet/dry-run").error == (422, "unsupported")
    assert api.post("/scripts/say/execute", {"id": "t1", "payload": {"other": 1}}).error == (409, "conflict")
    assert api.post("/tasks/t1/cancel").error == (409, "final")


@pytest.mark.parametrize(
    "query",
    [
        *("status=done", "status=", "limit=0", "limit=201", "limit=x", "cursor=-1", "cursor=x", "cursor=1%0a"),
        *(
            "since=soon",
            "until=tomorrow",
            "trigger=me",
            "q=",
            "script=%0a",
            "worker=a%20b",
            "nothing=1",
            "limit=1&limit=2",
        ),
        "tag=" + "&tag=".join("x" * 21),
    ],
)
def test_a_wrong_filter_is_refused_and_never_ignored(api: Api, query: str) -> None:
    for base in ("tasks", "executions"):
        answer = api.get(f"/{base}?{query}")
        assert answer.error == (400, "invalid-query"), query
        assert answer.pointers[0].startswith("/" + query.partition("=")[0])


def test_wrong_parameters_of_other_routes_are_refused(api: Api) -> None:
    for path in (
        *("/tasks/t1/log?stream=both", "/tasks/t1/log?tail=-1", "/tasks/t1/log?run=x", "/tasks/t1/log?tial=1"),
        *("/tasks/t1?x", "/tasks/t1/artifacts/a.txt?run=-1", "/status?x=1", "/scripts?x=1"),
    ):
        assert api.get(path).error == (400, "invalid-query"), path
    for query in ("async=yes", "wait=-1", "wait=nan", "wait=x"):
        assert api.post(f"/scripts/say/execute?{query}").error == (400, "invalid-query"), query
    assert api.get("/tasks/t1/log?run=7").error == (404, "unknown-run")


def test_an_artifact_leads_nowhere_else(api: Api, shared_deployment: Deployment) -> None:
    (shared_deployment.home / ".penstock" / "artifacts" / "secret.txt").write_text("secret")
    for name in (
        *(
            "..%2fsecret.txt",
            "../../../secret.txt",
            "%2e%2e/%2e%2e/%2e%2e/secret.txt",
            "/etc/passwd",
            "%2fetc%2fpasswd",
        ),
        *("a.txt%00", "a.txt/", "a.txt/../../log.txt", "../log.txt", "", "..", "A.TXT", "a%2etxt%0d%0aX-Y:1"),
    ):
        answer = api.get(f"/tasks/t1/artifacts/{name}")
        assert answer.error[0] == 404, name
        assert b"secret" not in answer.body
    assert api.get("/tasks/t1/artifacts/a.txt").body == b"a\n"


def test_a_link_in_the_store_is_not_followed(api: Api, shared_deployment: Deployment) -> None:
    assert api.post("/scripts/say/execute", {"id": "linked"}).status == 200
    file = shared_deployment.home / ".penstock" / "artifacts" / "li" / "linked" / "artifacts" / "a.txt"
    file.unlink()
    os.symlink("/etc/passwd", file)
    assert api.get("/tasks/linked/artifacts/a.txt").error == (404, "artifact-not-here")


def test_methods_and_paths_that_are_not_there_are_problems_too(api: Api) -> None:
    answer = api.send("PUT", "/tasks")
    assert answer.error == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"
    for path in ("/", "/nothing", "/tasks/", "/scripts/say/", "/docs", "//evil.example/x"):
        assert api.get(path).error == (404, "not-found"), path


def test_every_answer_has_its_security_headers(api: Api) -> None:
    for answer in (api.get("/scripts"), api.get("/nothing"), api.with_key(None).get("/healthz"), api.send("PUT", "/x")):
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_a_request_id_is_taken_over_only_when_it_is_one(api: Api) -> None:
    given = "8d3ac1f0-5a0e-4a2b-9b1a-0e7c2f5d6a10"
    assert api.get("/scripts", X_Request_ID=given).headers["x-request-id"] == given
    for hostile in ("x", "a" * 5000, given + "\t", '"><script>'):
        assert api.get("/scripts", X_Request_ID=hostile).headers["x-request-id"] != hostile


def test_a_page_of_another_site_may_do_nothing(api: Api, shared_deployment: Deployment) -> None:
    host = f"{api.host}:{api.port}"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{api.host}:1"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": f"http://{host}.evil.example"},
    ):
        answer = api.send("POST", "/scripts/say/execute", headers=headers)
        assert answer.error == (403, "cross-site"), headers
        assert "access-control-allow-origin" not in answer.headers
    for headers in (
        {"Origin": f"http://{host}"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://page.example"},
    ):
        assert api.send("POST", "/scripts/say/execute", headers=headers).status == 200, headers
    refused = next(entry for entry in audit_of(shared_deployment) if entry.detail == "cross-site")
    assert (refused.action, refused.result, refused.target) == ("scripts.execute", "denied", "say")


def test_only_configured_origins_may_ask(api: Api) -> None:
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    allowed = api.send("OPTIONS", "/scripts/say/execute", headers={"Origin": "https://page.example", **wanted})
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://page.example")
    refused = api.send("OPTIONS", "/scripts/say/execute", headers={"Origin": "https://evil.example", **wanted})
    assert "access-control-allow-origin" not in refused.headers


def test_headers_and_lines_have_their_bounds(api: Api) -> None:
    assert api.get("/scripts?tag=" + "x" * 9000).error == (414, "uri-too-long")
    assert api.get("/tasks/" + "x" * 5000).error == (414, "uri-too-long")
    many = {f"X-{number}": "1" for number in range(120)}
    assert api.send("GET", "/scripts", headers=many).error == (431, "too-many-headers")
    head = f"GET /api/v1/scripts HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n".encode()
    large = api.raw(head + b"X-Large: " + b"x" * 200_000 + b"\r\n\r\n")
    assert large == b"" or large.startswith(b"HTTP/1.1 4")
    doubled = api.raw(head + b"X-API-Key: other\r\nConnection: close\r\n\r\n")
    assert doubled.startswith(b"HTTP/1.1 400") and b"doubled-header" in doubled
    for hostile in (
        b"X: a\nY: b\r\n\r\n",
        b"X : a\r\n\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        answer = api.raw(head + b"Connection: close\r\n" + hostile)
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), answer[:100]


def test_a_body_that_comes_too_slowly_is_not_waited_for(api: Api) -> None:
    head = f"POST /api/v1/scripts/say/execute HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    answer = api.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 408") and b"slow-body" in answer


def test_headers_that_come_too_slowly_are_not_waited_for(api: Api) -> None:
    assert api.raw(b"") == b""
    assert api.raw(b"GET /healthz HTTP/1.1\r\nHost: ") == b""


def test_a_body_without_a_length_is_counted(api: Api) -> None:
    head = f"POST /api/v1/scripts/say/execute HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"400\r\n" + b" " * 0x400 + b"\r\n"
    answer = api.raw(head.encode() + chunk * 3 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413") and b"too-large" in answer


def test_a_connection_that_says_nothing_harms_nobody(api: Api) -> None:
    silent = [socket.create_connection((api.host, api.port), 10) for _ in range(50)]
    try:
        assert api.get("/scripts").status == 200
    finally:
        for connection in silent:
            connection.close()


def test_nothing_of_a_key_is_in_the_logs_of_the_server(api: Api, shared_deployment: Deployment) -> None:
    api.get("/scripts")
    log = (shared_deployment.home / "up-of-the-test.log").read_text()
    assert api.key and api.key not in log
    assert "Traceback" not in log


def test_who_asks_too_often_is_told_when_to_come_again(api: Api, shared_deployment: Deployment) -> None:
    settings = shared_deployment.home / "config" / "penstock.yaml"
    before = settings.read_text()
    settings.write_text(json.dumps({"api": {"rateLimit": "3/m"}}))
    process = shared_deployment.start("api", "--port", "0")
    try:
        assert process.stdout
        port = int(process.stdout.readline().decode().strip().rpartition(":")[2])
        hasty = Api("127.0.0.1", port, make_key(shared_deployment, "hasty", "scripts:read"))
        assert [hasty.get("/scripts").status for _ in range(4)] == [200, 200, 200, 429]
        refused = hasty.get("/scripts")
        assert refused.error == (429, "too-many-requests")
        assert 0 < int(refused.headers["retry-after"]) <= 20
        assert hasty.with_key(api.key).get("/scripts").status == 200
        guesses = [hasty.with_key("penstock_guess").get("/scripts").status for _ in range(4)]
        assert guesses == [401, 401, 401, 429]
    finally:
        settings.write_text(before)
        process.terminate()
        process.wait(20)


def test_a_missing_store_is_said_and_not_hidden(api: Api, shared_deployment: Deployment) -> None:
    assert api.get("/readyz").status == 200
    store = int((shared_deployment.home / ".penstock" / "store" / "store.lock").read_text())
    os.kill(store, signal.SIGSTOP)
    try:
        assert api.get("/readyz").error == (503, "store-unavailable")
        assert api.get("/healthz").status == 200
    finally:
        os.kill(store, signal.SIGCONT)
    assert api.get("/readyz").status == 200
