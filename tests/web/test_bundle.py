"""The modules as one: what is made of them, and what is refused. That it runs is what every test of the page shows."""

from __future__ import annotations

import pytest

from worker.web.assets import load_assets
from worker.web.bundle import STYLES, Unbundled, script_of, style_of

MAIN = 'import { a, b as c } from "./parts/x.js";\nimport "./y.js";\nexport async function main() {}\nmain(a, c);\n'
X = 'import { main } from "../main.js";\nexport const a = 1;\nexport class b {}\n'


def test_each_module_keeps_a_scope_of_its_own_and_gives_out_functions_first() -> None:
    made = script_of({"main.js": MAIN, "parts/x.js": X, "y.js": "const a = 2;\n"})
    scope = made.partition('"main.js": ($out) => {')[2]
    assert scope.index("$out.main = main;") < scope.index('const { a, b: c } = $need("parts/x.js");')
    assert scope.index("class b {}") < scope.index("$out.b = b;")
    assert made.endswith('$need("main.js");\n')


@pytest.mark.parametrize(
    "text",
    [
        'import * as all from "./x.js";',
        'import a from "./x.js";',
        'import { a } from "https://evil.example/x.js";',
        'import { a } from "./missing.js";',
        'export { a } from "./x.js";',
        "export default 1;",
        "export let a = 1;",
        'const a = await import("./x.js");',
        "  import.meta.url;",
    ],
)
def test_what_is_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(Unbundled):
        script_of({"main.js": text + "\n", "x.js": ""})


def test_a_style_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(Unbundled):
        style_of(dict.fromkeys((*STYLES, "new"), ""))


def test_the_shell_asks_for_few_files_that_are_all_there() -> None:
    assets = load_assets()
    named = [part.partition('"')[0] for part in assets.shell.content.decode().split(assets.base + "/")[1:]]
    assert sorted(named) == ["mark.svg", "page.css", "page.js", "scripts/theme.js"]
    assert set(named) <= set(assets.files)
