"""Schedules, workflows and registered scripts by command: on a server as in its own folder, word for word."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.system.conftest import Deployment, Result
from tests.system.http_client import Api, make_key, running_api
from tests.system.remote import Remote
from tests.system.test_docs import fits

pytestmark = pytest.mark.xdist_group("cli-remote-declared")

NUMBER = {"properties": {"n": {"type": "integer"}, "token": {"type": "string", "writeOnly": True}}}
# What differs because it is another call, by another principal.
OWN = {"owner", "updatedBy", "createdAt", "updatedAt", "registeredBy", "registeredAt"}


@pytest.fixture(scope="module")
def api(shared_deployment: Deployment) -> Iterator[Api]:
    d = shared_deployment
    d.file("config/penstock.yaml", json.dumps({"api": {"port": 0}}))
    d.script("say", "cat", NUMBER)
    d.script("fail", "exit 1")
    d.script("off", "cat", NUMBER, enabled=False)
    steps = [{"name": "one", "script": "say", "payload": {"n": "${input.n}"}}, {"name": "two", "script": "say"}]
    d.file("config/workflows/chain.yaml", json.dumps({"schema": NUMBER, "steps": steps, "tags": ["a"]}))
    d.file("config/workflows/breaks.yaml", json.dumps({"steps": [steps[1], {"name": "bad", "script": "fail"}]}))
    d.file("config/workflows/idle.yaml", json.dumps({"enabled": False, "steps": steps[1:]}))
    d.file("config/schedules/declared.yaml", json.dumps({"script": "say", "cronExpression": "@yearly"}))
    d.file("scripts/loose.sh", "echo loose\n").chmod(0o755)
    yield from running_api(d)


@pytest.fixture(scope="module")
def remote(api: Api) -> Iterator[Remote]:
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        yield Remote(Path(folder), f"http://{api.host}:{api.port}", api.key)


def shown(done: Result) -> Any:
    """Without what is of the call."""
    assert done.code == 0, done.err
    return {key: value for key, value in done.json.items() if key not in OWN}


def same(here: Deployment, there: Remote, *command: str) -> Result:
    """What both print: nothing has changed between the two."""
    first, second = here.penstock(*command), there.penstock(*command)
    assert (second.code, second.out, second.err) == (first.code, first.out, first.err)
    return second


def test_schedules_are_made_changed_and_deleted_on_a_server_as_in_its_folder(
    shared_deployment: Deployment, remote: Remote
) -> None:
    played = []
    for site in (shared_deployment, remote):
        made = site.penstock("schedules", "create", "nightly", "--script", "say", "--cron", "30 2 * * *", "-p", "n=3",
                             "-p", "token=$(touch x)", "--jitter", "90s", "--tag", "loud", "--disabled",
                             "--json")  # fmt: skip
        fits("schedule-details", made.out)
        changed = site.penstock("schedules", "update", "nightly", "--cron", "@hourly", "--overlap", "queue", "--json")
        assert changed.json["payload"] == {"n": 3, "token": "***"}
        moved = site.penstock("schedules", "update", "nightly", "--workflow", "chain", "-p", "n=4", "--json")
        assert (moved.json["script"], moved.json["payload"]) == (None, {"n": 4})
        assert site.penstock("schedules", "enable", "nightly").out == "nightly enabled\n"
        assert site.penstock("schedules", "show", "nightly", "--json").json["nextRunAt"]
        run = site.penstock("schedules", "trigger", "nightly").out.strip()
        assert site.penstock("workflows", "show", run, "--json").json["trigger"] == "schedule"
        back = site.penstock("schedules", "update", "nightly", "--script", "say", "--json")
        assert (back.json["workflow"], back.json["payload"]) == (None, {})
        assert site.penstock("schedules", "delete", "nightly").out == "nightly deleted\n"
        played.append([shown(each) for each in (made, changed, moved)])
    assert played[0] == played[1]
    zone = ("--timezone", "Europe/Berlin")
    commands = (("list",), ("list", "--json"), ("show", "declared"), ("show", "declared", "--json"))
    for command in (*commands, ("preview", "declared", "-n", "3"), ("preview", "0 3 * * mon-fri", *zone)):
        same(shared_deployment, remote, "schedules", *command)


def test_workflows_are_run_followed_and_repeated_on_a_server_as_in_its_folder(
    shared_deployment: Deployment, remote: Remote
) -> None:
    large = "12345678901234567890"
    for number, site in enumerate((shared_deployment, remote)):
        ran = site.penstock("workflows", "run", "chain", "-p", f"n={large}", "--id", f"ran-{number}", "-f", "--json")
        assert (ran.code, fits("workflow-run", ran.out)["payload"]) == (0, {"n": int(large)})
        assert [step["task"]["status"] for step in ran.json["steps"]] == ["completed"] * 2
        again = site.penstock("workflows", "run", "chain", "-p", f"n={large}", "--id", f"ran-{number}", "--json")
        assert again.json == {"runId": f"ran-{number}", "created": False}
        broken = site.penstock("workflows", "run", "breaks", "--id", f"broken-{number}", "--follow")
        assert (broken.code, "bad: failed" in broken.err) == (1, True)
        repeated = site.penstock("workflows", "rerun", f"broken-{number}", "--follow", "--json")
        assert (repeated.code, repeated.json["rerunOf"]) == (1, f"broken-{number}")
        ended = site.penstock("workflows", "cancel", f"ran-{number}", "--json")
        assert fits("workflow-cancel", ended.out)["outcome"] == "final"
    for command in (("list",), ("show", "chain"), ("show", "broken-0"), ("runs", "--workflow", "chain")):
        same(shared_deployment, remote, "workflows", *command, "--json")
    same(shared_deployment, remote, "workflows", "show", "broken-1")
    same(shared_deployment, remote, "workflows", "graph", "broken-1")


def test_scripts_are_registered_approved_and_removed_on_a_server_as_in_its_folder(
    shared_deployment: Deployment, remote: Remote, tmp_path: Path
) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "body").write_text("echo '$(touch x)'\n")
    key, body = ("--key-file", str(tmp_path / "key")), ("--body", str(tmp_path / "body"), "--type", "bash")
    assert fits("available-files", same(shared_deployment, remote, "scripts", "available", "--json").out)["files"]
    played = []
    for number, site in enumerate((shared_deployment, remote)):
        first = site.penstock("scripts", "register", "scripts/loose.sh", "--name", "loose", "--json")
        fits("script-version", first.out)
        second = site.penstock("scripts", "update", "loose", "--arg", "--compress", *body, "--json")
        assert second.json["version"] == first.json["version"] + 1
        assert "approved: loose" in site.penstock("scripts", "approve", "loose", *key, "--yes").out
        assert site.penstock("scripts", "approve", "loose", *key, "--print").out.count(".") == 2
        assert site.penstock("scripts", "delete", "loose").out == f"loose is removed, by version {3 * number + 3}\n"
        played.append([{**shown(each), "version": None} for each in (first, second)])
    assert played[0] == played[1]
    for command in (("diff", "loose"), ("diff", "loose", "1", "2"), ("history", "loose"), ("history", "loose", "2")):
        same(shared_deployment, remote, "scripts", *command)
    fits("script-version", same(shared_deployment, remote, "scripts", "history", "loose", "2", "--json").out)
    fits("script-versions", same(shared_deployment, remote, "scripts", "history", "loose", "--json").out)


def test_a_key_without_the_right_changes_nothing(shared_deployment: Deployment, remote: Remote) -> None:
    reader = replace(remote, key=make_key(shared_deployment, "reader", "schedules:read", "workflows:read"))
    for command in (
        ("schedules", "delete", "declared"),
        ("schedules", "update", "declared", "--cron", "@daily"),
        ("workflows", "run", "chain"),
        ("scripts", "available"),
        ("scripts", "register", "scripts/loose.sh"),
        ("scripts", "history", "say"),
    ):
        done = reader.penstock(*command)
        assert (done.code, "not allowed" in done.err) == (77, True), done


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("schedules", "show", "../tasks"), 66),
        (("schedules", "delete", "no-such"), 66),
        (("schedules", "trigger", "no-such"), 66),
        (("schedules", "delete", "declared"), 65),
        (("schedules", "create", "declared", "--script", "say", "--cron", "@daily"), 65),
        (("schedules", "create", "../x", "--script", "no", "--cron", "$(touch x)", "-p", "a=1"), 65),
        (("schedules", "create", "one", "--script", "say", "--cron", "@daily", "-p", "n=x"), 65),
        (("schedules", "preview", "61 * * * *"), 65),
        (("workflows", "show", "../tasks"), 66),
        (("workflows", "run", "no-such"), 64),
        (("workflows", "run", "chain", "-p", "n=x"), 65),
        (("workflows", "run", "chain", "--id", "../x"), 65),
        (("workflows", "run", "idle"), 77),
        (("workflows", "rerun", "no-such"), 66),
        (("workflows", "cancel", "no-such"), 66),
        (("scripts", "history", "../tasks"), 64),
        (("scripts", "history", "say", "3"), 66),
        (("scripts", "diff", "no-such"), 66),
        (("scripts", "update", "no-such", "scripts/loose.sh"), 66),
        (("scripts", "delete", "say"), 77),
        (("scripts", "register", "scripts/loose.sh", "--name", "say"), 77),
        (("scripts", "register", "../outside.sh"), 65),
        (("scripts", "register", "--name", "$(touch x)", "scripts/loose.sh"), 65),
    ],
)
def test_refusals_end_with_the_exit_codes_of_the_folder(
    shared_deployment: Deployment, remote: Remote, command: tuple[str, ...], code: int
) -> None:
    here, there = shared_deployment.penstock(*command), remote.penstock(*command)
    assert (here.code, there.code) == (code, code), (here.err, there.err)
