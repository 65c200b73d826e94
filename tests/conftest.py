"""The order of the suite: what takes longest begins first, so that no process is left with it in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
# Seconds that a module takes on a quiet machine with two cores; those below a quarter of a minute follow as they come.
_LONG = {
    "system/test_rabbitmq_life.py": 95,
    "system/faults/test_worker_killed.py": 95,
    "system/faults/test_limits.py": 80,
    "system/faults/test_clock.py": 75,
    "web/test_task_page.py": 60,
    "system/test_docs.py": 60,
    "system/test_rabbitmq.py": 60,
    "system/test_cli_up.py": 55,
    "system/test_examples_direct.py": 50,
    "system/test_api_schema.py": 45,
    "system/faults/test_poison.py": 45,
    "system/test_cli_remote.py": 45,
    "system/test_cli_remote_declared.py": 45,
    "system/faults/test_soak.py": 40,
    "system/faults/test_asked_for.py": 40,
    "web/test_frame.py": 40,
    "system/faults/test_connection_faults.py": 38,
    "system/faults/test_store_faults.py": 38,
    "web/test_admin.py": 35,
    "web/test_workers_view.py": 35,
    "web/test_workflow_pages.py": 35,
    "web/test_form.py": 35,
    "system/test_targets.py": 35,
    "system/test_webhooks.py": 35,
    "system/test_fleet.py": 30,
    "system/test_worker_life.py": 30,
    "system/test_cli_cancel.py": 25,
    "system/test_cli_tasks.py": 25,
    "system/test_commands.py": 25,
    "system/test_registry.py": 25,
    "system/test_schedules.py": 25,
    "system/faults/test_worker_frozen.py": 25,
    "web/test_overview_and_tasks.py": 25,
    "system/test_api_refusals.py": 20,
    "worker/test_records_in_step_with_a_model.py": 20,
    "system/test_deploy.py": 18,
    "system/test_workflows_killed.py": 18,
    "system/test_api_stream.py": 16,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def seconds(item: pytest.Item) -> int:
        return _LONG.get(item.path.relative_to(_TESTS).as_posix(), 0)

    items.sort(key=seconds, reverse=True)
