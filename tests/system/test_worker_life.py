"""How a worker starts, stops and dies, and that it never leaves anything behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.site import Site, eventually


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="ps"))
    site = Site(folder)
    site.script("ready", "exit 0")
    yield site
    try:
        site.stop()
        assert bearers(site) == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bearers(site: Site) -> list[str]:
    """Living processes that belong to the site: commands by their environment, servers by their arguments."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            if process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            said = [*(process.info["cmdline"] or ()), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and any(str(site.folder) in text for text in said):
            found.append(f"{process.pid} {process.info['cmdline']}")
    return found


def running(site: Site, name: str) -> bool:
    return (site.folder / name).exists()


ESCAPES = """
echo begun > "$SITE/begun"
setsid sleep 300 &
(setsid sh -c 'exec >/dev/null 2>&1; sleep 301 & sleep 302' &)
sleep 303
"""


def test_sigterm_finishes_what_runs_and_leaves_nothing(site: Site) -> None:
    site.script("slow", 'echo begun > "$SITE/begun"; sleep 1; echo done', env={"SITE": str(site.folder)})
    worker = site.start()
    task_id = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert site.task_log(task_id).endswith(b"done\n")
    site.start()
    assert site.finished(task_id).status == "completed"
    assert len(site.finished(task_id).runs) == 1


def test_what_outlasts_the_grace_is_ended_and_told(site: Site) -> None:
    site.settings(worker={"shutdownGrace": 0.3})
    site.script("slow", ESCAPES, env={"SITE": str(site.folder)}, retries=0, killGrace=0)
    worker = site.start()
    task_id = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert bearers(site) == []
    site.start()
    task = site.finished(task_id)
    assert (task.status, task.reason) == ("exception", "worker-shutdown")


def test_a_worker_killed_with_sigkill_leaves_no_command_and_no_server(site: Site) -> None:
    site.settings(worker={"lease": 2})
    site.script("slow", ESCAPES, env={"SITE": str(site.folder)}, retries=0)
    worker = site.start()
    task_id = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    worker.kill()
    worker.wait()
    eventually(lambda: bearers(site) == [], f"the end of everything: {bearers(site)}", within_s=5)
    site.start()
    task = site.finished(task_id)
    assert (task.status, task.reason) == ("exception", "claim-expired")


def test_a_lost_worker_is_followed_by_another_run_where_retries_allow(site: Site) -> None:
    site.settings(worker={"lease": 2})
    script = 'echo "run $RUN_ID"; echo x > "$SITE/begun"; [ "$RUN_ID" = 0 ] && sleep 300; exit 0'
    site.script("slow", script, env={"SITE": str(site.folder)}, retries=1)
    worker = site.start()
    task_id = site.send("slow", {"keep": "me"})
    eventually(lambda: running(site, "begun"), "the command")
    worker.kill()
    worker.wait()
    site.start()
    task = site.finished(task_id)
    assert [(run.status, run.reason) for run in task.runs] == [("exception", "claim-expired"), ("completed", None)]
    assert b"run 1\n" in site.task_log(task_id, run=1)


def test_exit_code_4_of_a_command_ends_the_worker_with_4_after_what_runs(site: Site) -> None:
    site.script("slow", 'echo begun > "$SITE/begun"; sleep 1; echo done', env={"SITE": str(site.folder)})
    site.script("fatal", "exit 4")
    worker = site.start()
    slow = site.send("slow", {})
    eventually(lambda: running(site, "begun"), "the command")
    fatal = site.send("fatal", {})
    assert worker.wait(20) == 4
    assert site.task_log(slow).endswith(b"done\n")
    site.start()
    assert site.finished(slow).status == "completed"
    assert site.finished(fatal).reason == "internal-error"


@pytest.mark.parametrize("limits", [{"maxSeconds": 1}, {"idleSeconds": 1}, {"maxTasks": 1}])
def test_a_worker_with_a_lifetime_ends_by_itself(site: Site, limits: dict[str, int]) -> None:
    site.settings(plugins={"lifetime": limits})
    worker = site.start(ready="maxTasks" not in limits)
    if "maxTasks" in limits:
        eventually(lambda: site.store_socket.exists(), "the store")
        site.send("ready", {})
    assert worker.wait(20) == 0


def test_two_workers_share_one_store_and_each_task_runs_once(site: Site) -> None:
    site.script("count", 'echo "$TASK_ID" >> "$SITE/ran"; sleep 0.05', env={"SITE": str(site.folder)})
    site.start(env={"PENSTOCK_WORKER_NAME": "one"})
    site.start(env={"PENSTOCK_WORKER_NAME": "two"})
    ids = [site.send("count", {"n": n}) for n in range(30)]
    workers = {site.finished(task_id).runs[0].worker for task_id in ids}
    assert sorted((site.folder / "ran").read_text().split()) == sorted(ids)
    assert workers == {"one", "two"}


def test_a_wrong_deployment_stops_the_start_and_consumes_nothing(site: Site) -> None:
    worker = site.start()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    site.script("wrong", ["no/such/program"], schema={"type": "object", "requried": []}, maxRunTime="soon")
    (site.folder / "config" / "penstock.yaml").write_text("worker: {concurrency: many}\nplugin: {}\n")
    wrong = site.start(ready=False)
    assert wrong.wait(20) == 65
    said = site.log()
    assert "penstock.yaml:1:" in said and "/worker/concurrency" in said and "plugin" in said
    (site.folder / "config" / "penstock.yaml").unlink()
    wrong = site.start(ready=False)
    assert wrong.wait(20) == 65
    said = site.log()
    for part in ("wrong.yaml:1:", "/command/0", "requried", "/maxRunTime"):
        assert part in said, part
    assert not (site.folder / ".penstock/store/store.sock").exists()


def test_the_embedded_store_keeps_what_was_recorded_over_a_restart(site: Site) -> None:
    worker = site.start()
    task_id = site.send("ready", {"n": 1})
    site.finished(task_id)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    site.start()
    assert site.finished(task_id).payload == {"n": 1}
