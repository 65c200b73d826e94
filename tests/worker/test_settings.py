from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeclarationError
from worker.config import load_catalog, load_settings
from worker.config.declaration import SETTINGS_SCHEMA
from worker.daemons.listening import DEFAULT_PORT


def write(home: Path, settings: str, *scripts: str) -> Path:
    (home / "config" / "scripts").mkdir(parents=True, exist_ok=True)
    (home / "config" / "penstock.yaml").write_text(settings)
    for name in scripts:
        (home / "config" / "scripts" / f"{name}.yaml").write_text("{command: [/bin/true], schema: {}}")
    return home


def refused(home: Path, settings: str, *scripts: str) -> dict[str, str]:
    """The problems by pointer; each has its place in the file."""
    with pytest.raises(DeclarationError) as caught:
        load_catalog(load_settings(write(home, settings, *scripts), {}))
    assert all(problem.file and problem.line and problem.column for problem in caught.value.problems)
    return {problem.pointer: problem.message for problem in caught.value.problems}


def default_of(*path: str) -> Any:
    found: Any = SETTINGS_SCHEMA
    for name in path:
        found = found["properties"][name]
    return found["default"]


@pytest.mark.parametrize(
    ("written", "size"),
    [("1048576", 1048576), ("1 GiB", 2**30), ("500MB", 500_000_000), ("0", 0)],
)
def test_the_disk_that_stays_free_is_a_size(tmp_path: Path, written: str, size: int) -> None:
    settings = load_settings(write(tmp_path, f"worker: {{minFreeDisk: {written}}}"), {})
    assert settings.worker.min_free_disk == size


def test_the_disk_that_stays_free_has_the_documented_default(tmp_path: Path) -> None:
    documented = json.dumps({"worker": {"minFreeDisk": default_of("worker", "minFreeDisk")}})
    home = write(tmp_path, documented)
    assert load_settings(home, {}).worker == load_settings(write(home, ""), {}).worker


@pytest.mark.parametrize("written", ["-1", "much", "1 GB free", "1.5", "true", "null"])
def test_what_is_no_size_is_refused_for_it(tmp_path: Path, written: str) -> None:
    assert "/worker/minFreeDisk" in refused(tmp_path, f"worker: {{minFreeDisk: {written}}}")


def test_a_worker_has_labels_and_beats_as_documented(tmp_path: Path) -> None:
    home = write(tmp_path, "worker: {labels: [os=debian, group=web.dev], beat: 250ms, minFreeMemory: 1 GiB}")
    found = load_settings(home, {}).worker
    assert (found.labels, found.beat_s, found.min_free_memory) == (("group=web.dev", "os=debian"), 0.25, 2**30)
    for name in ("beat", "minFreeMemory"):
        documented = json.dumps({"worker": {name: default_of("worker", name)}})
        assert load_settings(write(tmp_path, documented), {}).worker == load_settings(write(tmp_path, ""), {}).worker


@pytest.mark.parametrize(
    "label",
    [
        *("group", "=web", "group=", "group=web.", "group=.web", "group=a..b", "Group=web", "group=web dev"),
        *("group=a\nb", "group=é", "group=a:b", "group=*", "$(x)=y", "g=" + "x" * 64, "g=a" + ".a" * 8),
        *("a=b=c", "group=web\n", ""),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, label: str) -> None:
    assert set(refused(tmp_path, json.dumps({"worker": {"labels": [label]}}))) == {"/worker/labels/0"}


@pytest.mark.parametrize("name", ["_any", "_all", "a b", "../x", "a:b", "x" * 64, "a\n"])
def test_what_is_no_name_of_a_worker_is_refused(tmp_path: Path, name: str) -> None:
    assert set(refused(tmp_path, json.dumps({"worker": {"name": name}}))) == {"/worker/name"}
    with pytest.raises(DeclarationError):
        load_settings(write(tmp_path, ""), {"PENSTOCK_WORKER_NAME": name})


@pytest.mark.parametrize("beat", ["100ms", "10m", "0", "often"])
def test_what_is_no_beat_is_refused(tmp_path: Path, beat: str) -> None:
    assert set(refused(tmp_path, json.dumps({"worker": {"beat": beat}}))) == {"/worker/beat"}


def test_a_queue_may_be_opened_for_plain_documents(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "queues: {uploads: {plain: scan}}", "scan"), {})
    assert settings.plain == {"uploads": "scan"}
    assert load_catalog(settings).get("scan")


def test_no_queue_is_open_for_plain_documents_by_itself(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, ""), {}).plain == {}


def test_plain_documents_need_a_script_that_is_declared(tmp_path: Path) -> None:
    found = refused(tmp_path, "queues: {uploads: {plain: scna}, b: {plain: ../x}}", "scan")
    assert found.keys() == {"/queues/uploads/plain", "/queues/b/plain"}
    assert 'did you mean "scan"?' in found["/queues/uploads/plain"]


def test_a_script_with_problems_of_its_own_is_not_told_to_be_missing(tmp_path: Path) -> None:
    home = write(tmp_path, "", "scan")
    (home / "config" / "scripts" / "bad.yaml").write_text("{command: [], schema: {}}")
    assert refused(home, "queues: {uploads: {plain: bad}}").keys() == {"/command"}


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("queues: [uploads]", "/queues"),
        ("queues: {uploads: scan}", "/queues/uploads"),
        ("queues: {uploads: {}}", "/queues/uploads"),
        ("queues: {uploads: {plain: scan, json: true}}", "/queues/uploads/json"),
        ('queues: {"up loads": {plain: scan}}', "/queues/up loads"),
    ],
)
def test_a_wrong_queue_is_told_at_its_place(tmp_path: Path, written: str, place: str) -> None:
    found = refused(tmp_path, written, "scan")
    assert any(pointer.startswith(place) for pointer in found), found


def test_a_wrong_url_of_the_environment_is_told_as_such_and_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        load_settings(tmp_path, {"PENSTOCK_BROKER_URL": "http://user:hunter2@host"})
    [problem] = caught.value.problems
    assert problem.file is None and "PENSTOCK_BROKER_URL in the environment" in problem.message
    assert "hunter2" not in str(caught.value)


def test_a_queue_of_plain_documents_is_not_opened_for_a_script_that_asks_for_scopes(tmp_path: Path) -> None:
    home = write(tmp_path, "", "scan")
    (home / "config" / "scripts" / "sign.yaml").write_text("{command: [/bin/cat], schema: {}, allowedScopes: [a:b]}")
    found = refused(home, "queues: {uploads: {plain: sign}}")
    assert "names allowedScopes" in found["/queues/uploads/plain"]


def test_the_api_has_the_documented_defaults(tmp_path: Path) -> None:
    names = ("host", "maxBody", "bodyTimeout", "maxWait", "maxOutput", "rateLimit")
    home = write(tmp_path, json.dumps({"api": {name: default_of("api", name) for name in names}}))
    documented = load_settings(home, {}).api
    assert documented == load_settings(write(home, ""), {}).api
    assert default_of("api", "port") == DEFAULT_PORT


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("{port: 65536}", "/api/port"),
        ("{port: '80'}", "/api/port"),
        ("{host: 'a b'}", "/api/host"),
        ("{rateLimit: fast}", "/api/rateLimit"),
        ("{maxBody: much}", "/api/maxBody"),
        ("{bodyTimeout: 0}", "/api/bodyTimeout"),
        ("{origins: ['*']}", "/api/origins/0"),
        ("{origins: ['https://a.example/path']}", "/api/origins/0"),
        ("{origin: []}", "/api/origin"),
    ],
)
def test_a_wrong_setting_of_the_api_is_told_at_its_place(tmp_path: Path, written: str, place: str) -> None:
    assert place in refused(tmp_path, f"api: {written}")


def test_a_rate_limit_can_be_none(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, "api: {rateLimit: none}"), {}).api.rate_limit is None
