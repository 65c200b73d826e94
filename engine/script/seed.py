"""The older form of a script file, as the script engine of taskcluster-worker read it, turned into today's.

engine: script
engines: {script: {command: [...], schema: {...}}}
plugins: {disabled: [...]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.schema.shown import kind, pointer, quoted, shown, suggestion

# Plugins of that worker. None: it does what is no plugin here, so there is nothing to switch off.
OLDER_PLUGINS: Mapping[str, str | None] = {
    "artifacts": None,
    "cache": None,
    "env": None,
    "interactive": None,
    "livelog": None,
    "logprefix": "logHeader",
    "maxruntime": "maxRunTime",
    "reboot": None,
    "relengapi": None,
    "stoponerror": "stopOnInternalErrors",
    "success": None,
    "tcproxy": None,
    "watchdog": "watchdog",
}
_PARTS = ("command", "schema")
# Where the parts of today's form stand in a file of this form.
MOVED: Mapping[str, str] = {f"/{part}": f"/engines/script/{part}" for part in _PARTS}


def is_seed(value: Any) -> bool:
    return isinstance(value, dict) and ("engine" in value or "engines" in value)


def unfold(value: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Today's form, and the problems of the older one as (pointer into the file, message)."""
    problems = list(_problems(value))
    script = {name: part for name, part in value.items() if name not in ("engine", "engines", *_PARTS)}
    engine = _section(value)
    script.update((part, engine[part]) for part in _PARTS if part in engine)
    plugins = value.get("plugins")
    if isinstance(plugins, dict) and isinstance(plugins.get("disabled"), list):
        names = [OLDER_PLUGINS.get(n, n) if isinstance(n, str) else n for n in plugins["disabled"]]
        script["plugins"] = {**plugins, "disabled": [name for name in names if name is not None]}
    return script, problems


def _section(value: Mapping[str, Any]) -> Mapping[str, Any]:
    engines = value.get("engines")
    section = engines.get("script") if isinstance(engines, dict) else None
    return section if isinstance(section, dict) else {}


def _problems(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if value.get("engine", "script") != "script":
        yield "/engine", f'the engine must be "script", found {shown(value["engine"])}'
    elif "engine" not in value:
        yield "", "engine: script is missing beside engines"
    engines = value.get("engines")
    if not isinstance(engines, dict):
        yield ("/engines" if "engines" in value else ""), f"engines must hold script, found {kind(engines)}"
        return
    for name in engines:
        if name != "script":
            yield pointer(("engines", name)), f"the engine {quoted(name)} is not known, only script"
    section = engines.get("script")
    if not isinstance(section, dict):
        yield (
            "/engines/script" if "script" in engines else "/engines",
            "engines.script must hold command and schema",
        )
        return
    for name in section:
        if name not in _PARTS:
            near = suggestion(name, _PARTS)
            yield pointer(("engines", "script", name)), f"{quoted(name)} is not known here{near}"
    for part in _PARTS:
        if part in value:
            yield f"/{part}", f"{part} stands here and in engines.script"
