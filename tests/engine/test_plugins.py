"""Plugins: which take part, what they own of a payload, and what the built-in ones do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DeclarationError
from engine.plugin import BUILT_IN, Plugin, Plugins
from engine.schema import Schema
from engine.script import PluginSettings, Script
from tests.engine.conftest import Engine, RecordingHost


def settings(disabled: set[str] = frozenset(), **plugins: Mapping[str, Any]) -> PluginSettings:  # type: ignore[assignment]
    return PluginSettings(frozenset({"logHeader", *disabled}), plugins)


def script(properties: dict[str, Any] | None = None, plugins: PluginSettings = PluginSettings(), **root: Any) -> Script:
    document = {"type": "object", "properties": properties or {}, **root}
    return Script("test", ("/bin/cat",), Schema.compile(document), plugins=plugins)


def told(error: pytest.ExceptionInfo[DeclarationError]) -> str:
    return "\n".join(f"{problem.pointer}: {problem.message}" for problem in error.value.problems)


def test_every_built_in_plugin_is_an_entry_point_too() -> None:
    from importlib.metadata import entry_points

    assert {entry.name: entry.value for entry in entry_points(group="penstock.plugins")} == dict(BUILT_IN)


def test_an_unknown_name_stops_the_start_wherever_it_stands() -> None:
    for wrong in (PluginSettings(frozenset({"nope"})), PluginSettings(settings={"nope": {}})):
        with pytest.raises(DeclarationError) as error:
            Plugins(wrong)
        assert 'unknown plugin "nope"' in told(error) and "maxRunTime" in told(error)
        with pytest.raises(DeclarationError) as error:
            Plugins().prepare(script(plugins=wrong))
        assert 'unknown plugin "nope"' in told(error)


def test_wrong_settings_are_all_told_with_their_places() -> None:
    with pytest.raises(DeclarationError) as error:
        Plugins(settings(maxRunTime={"policy": "maybe", "x": 1}, watchdog={"maxSilence": 0}))
    for part in ("/plugins/maxRunTime/policy", "/plugins/maxRunTime", '"x"', "/plugins/watchdog/maxSilence"):
        assert part in told(error)


def test_a_clash_of_payload_keys_names_both_owners() -> None:
    with pytest.raises(DeclarationError) as error:
        Plugins().prepare(script({"maxRunTime": {"type": "integer"}, "dryRun": {"type": "boolean"}}))
    assert "plugin maxRunTime" in told(error) and "plugin dryRun" in told(error) and "script" in told(error)


def test_a_plugin_that_is_switched_off_leaves_its_key_to_the_script(engine: Engine) -> None:
    result = engine(
        "cat",
        b'{"maxRunTime": "soon"}',
        schema={"type": "object", "properties": {"maxRunTime": {"type": "string"}}},
        plugins=settings({"maxRunTime"}),
    )
    assert result.log == b'{"maxRunTime":"soon"}\n'


def test_stdin_gets_the_payload_without_the_plugins_keys(engine: Engine) -> None:
    result = engine("cat; echo $DRY_RUN", b'{"a": 1, "maxRunTime": 30, "dryRun": true}', plugins=settings())
    assert result.log.splitlines()[-1] == b'{"a":1}true'
    assert result.outcome.dry_run


def test_a_run_that_is_not_dry_gets_no_variable(engine: Engine) -> None:
    result = engine('echo "${DRY_RUN-none}"', b'{"dryRun": false}', plugins=settings())
    assert result.log == b"none\n" and not result.outcome.dry_run


@pytest.mark.parametrize(("asked", "limit"), [("0.2", 60.0), ("60", 0.2), ("0.2", None)])
def test_the_shorter_of_the_two_time_limits_holds(engine: Engine, asked: str, limit: float | None) -> None:
    payload = b'{"maxRunTime": %s}' % asked.encode()
    result = engine("sleep 60", payload, max_run_time_s=limit, plugins=settings())
    assert result.outcome.reason == "max-run-time" and "0.2 s" in result.outcome.message


@pytest.mark.parametrize(
    ("policy", "payload", "accepted"),
    [
        ("allow", b"{}", True),
        ("allow", b'{"maxRunTime": 5}', True),
        ("allow", b'{"maxRunTime": 0}', False),
        ("allow", b'{"maxRunTime": "5"}', False),
        ("require", b"{}", False),
        ("require", b'{"maxRunTime": 5}', True),
        ("forbid", b"{}", True),
        ("forbid", b'{"maxRunTime": 5}', False),
    ],
)
def test_the_policy_says_who_may_set_the_time_limit(
    engine: Engine, policy: str, payload: bytes, accepted: bool
) -> None:
    result = engine("true", payload, plugins=settings(maxRunTime={"policy": policy}))
    assert result.outcome.status == ("completed" if accepted else "exception")
    if not accepted:
        assert result.outcome.reason == "malformed-payload" and b"maxRunTime" in result.log


def test_a_scripts_own_settings_lie_over_those_of_the_deployment() -> None:
    deployment = Plugins(settings(maxRunTime={"policy": "require"}))
    assert deployment.prepare(script()).schema.check({}) != ()
    own = script(plugins=settings(maxRunTime={"policy": "allow"}))
    assert deployment.prepare(own).schema.check({}) == ()


def test_the_watchdog_ends_a_silent_command(engine: Engine) -> None:
    result = engine("echo begun; sleep 60", plugins=settings(watchdog={"maxSilence": 0.5}))
    assert (result.outcome.status, result.outcome.reason) == ("timeout", "no-output")
    assert result.lines[0] == b"begun"


def test_the_watchdog_leaves_a_command_that_writes_alone(engine: Engine) -> None:
    result = engine(
        "for i in 1 2 3 4 5 6 7 8; do printf .; sleep 0.3; done", plugins=settings(watchdog={"maxSilence": 1.5})
    )
    assert result.outcome.status == "completed"


def test_internal_errors_in_a_row_drain_the_worker(engine: Engine) -> None:
    wanted = settings(stopOnInternalErrors={"inARow": 2})
    assert engine("exit 3", plugins=wanted, times=1).host.drains == []
    assert engine("exit 3", plugins=wanted, times=2).host.drains == [("2 internal errors in a row", True)]
    assert (
        engine(
            '[ -e "$F" ] && { rm "$F"; exit 0; }; touch "$F"; exit 3',
            plugins=wanted,
            times=4,
            env={"F": str(engine.folder / "flip")},
        ).host.drains
        == []
    )


def test_a_worker_lives_for_so_many_tasks(engine: Engine) -> None:
    result = engine("true", plugins=settings(lifetime={"maxTasks": 2}), times=2)
    assert result.host.drains == [("lifetime: 2 tasks", False)]


@pytest.mark.parametrize(
    ("limits", "up_s", "idle_s", "drains"),
    [
        ({"maxSeconds": 10}, 9.0, 0.0, False),
        ({"maxSeconds": 10}, 10.0, 0.0, True),
        ({"idleSeconds": 5}, 100.0, 4.0, False),
        ({"idleSeconds": 5}, 100.0, 5.0, True),
        ({}, 1e9, 1e9, False),
    ],
)
def test_a_worker_lives_for_so_long(limits: dict[str, Any], up_s: float, idle_s: float, drains: bool) -> None:
    host = RecordingHost()
    for plugin, own in Plugins(settings(lifetime=limits)).active():
        plugin.rest(host, own, up_s, idle_s)
    assert bool(host.drains) is drains


THIRD_PARTY = """
from engine.plugin import Plugin

class Broken(Plugin):
    name = "broken"

    def payload_keys(self, settings):
        return {"breakIn": {"enum": ["before", "tick", "after"]}}

    def before(self, run, part):
        self.where = part.get("breakIn")
        if self.where == "before":
            raise RuntimeError("secret detail")

    def tick(self, run, now_s):
        if self.where == "tick":
            raise RuntimeError("secret detail")

    def after(self, run, outcome):
        if self.where == "after":
            raise RuntimeError("secret detail")
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with a plugin, as pip would have installed it."""
    site = tmp_path / "site"
    about = site / "broken_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "broken_plugin.py").write_text(THIRD_PARTY)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[penstock.plugins]\nbroken = broken_plugin:Broken\n")
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("broken_plugin", None)


def test_a_third_partys_plugin_takes_part_when_it_is_named(engine: Engine, third_party: None) -> None:
    assert engine("cat", b'{"breakIn": "nowhere"}').log == b'{"breakIn":"nowhere"}\n', "not named: no part in it"
    result = engine("cat", b'{"breakIn": "nowhere"}', plugins=settings(broken={}))
    assert result.outcome.reason == "malformed-payload"


@pytest.mark.parametrize("where", ["before", "tick"])
def test_a_hook_that_raises_ends_the_run_as_an_internal_error(engine: Engine, third_party: None, where: str) -> None:
    result = engine("sleep 60", b'{"breakIn": "%s"}' % where.encode(), plugins=settings(broken={}))
    assert (result.outcome.status, result.outcome.reason) == ("exception", "internal-error")
    assert "plugin broken failed: RuntimeError" in result.outcome.message
    assert b"secret detail" not in result.log


def test_a_hook_that_raises_after_the_run_changes_nothing(engine: Engine, third_party: None) -> None:
    assert engine("true", b'{"breakIn": "after"}', plugins=settings(broken={})).outcome.status == "completed"


def test_a_plugin_does_nothing_by_default() -> None:
    class Nothing(Plugin):
        name = "nothing"

    assert Nothing().payload_keys({}) == {} and Nothing().required_keys({}) == frozenset()
