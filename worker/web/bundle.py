"""Bundle: the modules of the page as one and its styles as one, so that a first visit asks for few files.

It knows no JavaScript but the shapes that our own modules keep to, and refuses every other one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

ENTRY = "main.js"
# What stands later wins.
STYLES = ("tokens", "base", "layout", "table", "form", "log", "chart", "graph")
_IMPORT = re.compile(r'^import (?:\{ (?P<names>[^{}]+) \} from )?"(?P<path>\.[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?P<kind>(?:async )?function\*?|class|const) (?P<name>\w+)", re.MULTILINE)
# The one import of the router: a view by its name.
_VIEW = "import(`./views/${place.view}.js`)"
_LEFT = re.compile(r"^\s*(?:import|export)\b|\bimport\s*[.(]", re.MULTILINE)
_NEED = """const $made = new Map();
function $need(name) {
  let out = $made.get(name);
  if (!out) {
    $made.set(name, (out = {}));
    $modules[name](out);
  }
  return out;
}
"""


class Unbundled(Exception):
    """A module is not of the shapes that are known."""


def script_of(modules: Mapping[str, str], entry: str = ENTRY) -> str:
    """One module that does what `entry` does. `modules` by their paths. Raises Unbundled."""
    parts = [f'"{name}": ($out) => {{\n{_scope(name, text, modules)}}},\n' for name, text in sorted(modules.items())]
    return f'{_NEED}const $modules = {{\n{"".join(parts)}}};\n$need("{entry}");\n'


def style_of(styles: Mapping[str, str]) -> str:
    """All of them, by their names without `.css`. Raises Unbundled when there are others than STYLES."""
    if set(styles) != set(STYLES):
        raise Unbundled(f"styles that are not in STYLES, or not there: {set(styles) ^ set(STYLES)}")
    return "".join(styles[name] for name in STYLES)


def _scope(name: str, text: str, modules: Mapping[str, str]) -> str:
    """A function's body. Functions are given out before anything is taken in: modules may need each other for them."""

    def taken(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found["path"]))
        if path not in modules:
            raise Unbundled(f"{name} imports {path}, which is not there")
        names = (found["names"] or "").replace(" as ", ": ")
        return f'const {{ {names} }} = $need("{path}");' if names else f'$need("{path}");'

    given = [(found["kind"].startswith(("f", "a")), found["name"]) for found in _EXPORT.finditer(text)]
    body = _EXPORT.sub(lambda found: found[0].removeprefix("export "), _IMPORT.sub(taken, text))
    body = body.replace(_VIEW, "$need(`views/${place.view}.js`)")
    if left := _LEFT.search(body):
        raise Unbundled(f"{name}: {body[left.start() :].strip().splitlines()[0]}")
    first, last = (
        "".join(f"$out.{each} = {each};\n" for hoisted, each in given if hoisted is early) for early in (True, False)
    )
    return f"{first}{body}\n{last}"
