"""Shared files over HTTP and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.conftest import Deployment
from tests.system.http_client import make_key, running_api
from tests.system.remote import Remote

HOSTILE = ("logs/../secret", "logs/link", "/etc/passwd", "logs/%2e%2e/secret", "logs/a%00", "logs/%ff", "..", "logs")


def test_files_of_shared_folders_are_read_and_no_others(deployment: Deployment, tmp_path: Path) -> None:
    deployment.file("logs/a.txt", "one\n\x1b[31mtwo\n")
    deployment.file("other/b.txt", "b")
    (deployment.home / "logs" / "link").symlink_to(deployment.file("secret", "s3cret"))
    deployment.file("logs/large", "x" * 5000)
    folders = {"logs": "logs", "other": str(deployment.home / "other"), "gone": "gone"}
    settings = {"api": {"port": 0, "folders": folders, "maxFile": "4 KiB"}}
    deployment.file("config/penstock.yaml", json.dumps(settings))
    assert deployment.penstock("files", "read", "logs/a.txt").out == "one\n\x1b[31mtwo\n"
    for api in running_api(deployment):
        found = api.get("/files?name=logs/a.txt")
        assert (found.status, found.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert found.body == b"one\n\x1b[31mtwo\n"
        for name in HOSTILE:
            answer = api.get(f"/files?name={name}")
            assert answer.error == (404, "unknown-file") and b"s3cret" not in answer.body, name
        assert api.get("/files?name=logs/large").error == (413, "too-large")
        assert api.get("/files").error == (400, "invalid-query")
        assert api.get("/files/list?folder=logs/..").error == (404, "unknown-file")
        assert [file["name"] for file in api.get("/files/list").json["files"]] == [
            *("logs/a.txt", "logs/large", "other/b.txt"),
        ]
        narrow = api.with_key(make_key(deployment, "narrow", "files:read:logs"))
        assert narrow.get("/files?name=logs/a.txt").status == 200
        assert narrow.get("/files?name=other/b.txt").error == (403, "not-allowed")
        assert narrow.get("/files/list?folder=other").error == (403, "not-allowed")
        assert [file["name"] for file in narrow.get("/files/list").json["files"]] == ["logs/a.txt", "logs/large"]
        elsewhere = Remote(tmp_path, f"http://{api.host}:{api.port}", api.key)
        for penstock in (elsewhere.penstock, deployment.penstock):
            assert penstock("files", "read", "logs/a.txt").out == "one\n\x1b[31mtwo\n"
            assert [penstock("files", "read", name).code for name in ("logs/link", "logs/large")] == [66, 65]
            assert penstock("files", "list", "other", "--json").json["files"][0]["size"] == 1
            assert penstock("files", "list", "nothing").code == 66
