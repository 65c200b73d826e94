"""The documentation is true: its examples run, its links lead somewhere, its generated part is that of the code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.exits import MEANINGS
from engine.script.document import read_document
from tests.reference import jsonschema
from tests.system.conftest import Deployment, running_up
from tests.system.doc_examples import Command, blocks, commands, matches, play
from worker.cli.document_schema import DOCUMENT_SCHEMAS
from worker.cli.main import COMMANDS
from worker.operations.perform import RETRIED

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "scripts" / "README.md", *ROOT.glob("docs/**/*.md")])
PLAYED = ["producers", "tutorial"]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short: a socket lies below it.
    folder = Path(tempfile.mkdtemp(prefix="pd"))
    yield folder
    shutil.rmtree(folder)


def test_the_readmes_script_schema_and_producer_run_when_pasted(folder: Path) -> None:
    for part in ("config", "scripts"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("word-count.*", "__pycache__"))
    assert play((ROOT / "README.md").read_text(), folder) == 7


@pytest.mark.parametrize("page", PLAYED)
def test_the_examples_of_a_page_run_one_after_the_other(page: str, folder: Path) -> None:
    assert play((ROOT / "docs" / f"{page}.md").read_text(), folder) >= 4


def test_the_workflow_of_the_documentation_is_checked_and_drawn_as_it_says(folder: Path) -> None:
    for part in ("config/scripts", "scripts"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    assert play((ROOT / "docs" / "workflows.md").read_text(), folder) == 2


def test_no_page_has_examples_that_nobody_runs() -> None:
    marked = {page.stem for page in PAGES if any(block.words for block in blocks(page.read_text()))}
    assert marked == {"README", "api", "deploy", "workflows", "plugins", *PLAYED}


def test_the_plugin_of_the_documentation_works_as_it_says(folder: Path) -> None:
    """Its package is not built: what an installation would write for the entry points is written here."""
    play((ROOT / "docs" / "plugins.md").read_text(), folder)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = (f"{name} = {place}\n" for name, place in project["entry-points"]["penstock.plugins"].items())
    (info / "entry_points.txt").write_text("[penstock.plugins]\n" + "".join(points))
    home = Deployment(folder)
    found = home.penstock("exec", "work", "-p", "niceness=7", env={"PYTHONPATH": str(folder)})
    assert (found.code, f"niceness 7\n{os.nice(0) + 7}\n" in found.out) == (0, True), found
    usual = home.penstock("exec", "work", env={"PYTHONPATH": str(folder)})
    assert "niceness 5\n" in usual.out
    wrong = home.penstock("exec", "work", "-p", "niceness=70", env={"PYTHONPATH": str(folder)})
    assert (wrong.code, "/niceness" in wrong.out) == (65, True)


def test_the_declarations_and_settings_that_pages_show_are_valid(folder: Path) -> None:
    """Every YAML block that declares a script or settings, whether it is played or not."""
    schemas = {path.name: json.loads(path.read_text()) for path in (ROOT / "schemas").iterdir()}
    kinds = {
        "configuration": "settings",
        "operations": "settings",
        "deploy": "settings",
        "schedules": "schedule",
        "workflows": "workflow",
    }
    for page in ("scripts", "configuration", "plugins", "operations", "deploy", "schedules", "workflows"):
        for number, block in enumerate(blocks((ROOT / "docs" / f"{page}.md").read_text())):
            if block.language != "yaml":
                continue
            path = folder / f"{page}-{number}.yaml"
            path.write_text(block.text)
            value = read_document(path).value
            if "engines" in value:
                continue
            schema = schemas[f"{kinds.get(page, 'script')}.schema.json"]
            # Most examples show some fields only.
            jsonschema().Draft202012Validator({**schema, "required": []}).validate(value)


def test_links_lead_to_files_and_headings_that_are_there() -> None:
    broken = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith("http"):
                continue
            name, _, heading = target.partition("#")
            file = page.parent / name if name else page
            if not file.exists() or (heading and heading not in headings(file)):
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def headings(page: Path) -> set[str]:
    """As GitHub names them in links."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def generate(*arguments: str, seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "docs.generate", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "COLUMNS": "40"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_reference_and_the_schemas_are_those_of_the_code(seed: str) -> None:
    found = generate("--check", seed=seed)
    assert (found.returncode, found.stderr) == (0, "")


def test_the_check_names_what_is_out_of_date(tmp_path: Path) -> None:
    assert generate("--root", str(tmp_path)).returncode == 0
    assert generate("--check", "--root", str(tmp_path)).returncode == 0
    (tmp_path / "docs/reference/cli.md").write_text("old")
    (tmp_path / "schemas/script.schema.json").unlink()
    (tmp_path / "docs/reference/gone.md").write_text("of a command that is no more")
    found = generate("--check", "--root", str(tmp_path))
    assert found.returncode == 1
    assert [line.split(";")[0] for line in found.stderr.splitlines()] == [
        "docs/reference/cli.md is out of date",
        "schemas/script.schema.json is missing",
        "docs/reference/gone.md is generated by nothing",
    ]
    assert generate("--root", str(tmp_path)).returncode == 0
    assert generate("--check", "--root", str(tmp_path)).returncode == 0


def test_every_exported_schema_is_one() -> None:
    for path in (ROOT / "schemas").glob("*.schema.json"):
        jsonschema().Draft202012Validator.check_schema(json.loads(path.read_text()))


def test_the_example_deployment_fits_the_exported_schemas() -> None:
    for path, kind in (
        *((path, "script") for path in (ROOT / "config" / "scripts").glob("*.yaml")),
        (ROOT / "config" / "penstock.yaml", "settings"),
    ):
        schema = json.loads((ROOT / "schemas" / f"{kind}.schema.json").read_text())
        jsonschema().Draft202012Validator(schema).validate(read_document(path).value)


def test_every_document_of_the_command_line_fits_its_schema(shared_deployment: Deployment) -> None:
    home = shared_deployment
    home.script("keep", "echo x > artifacts/x.txt; exit 1", title="Keep", tags=["a"])
    home.script("broken", ["/no/such/program"])
    fits("check", home.penstock("check", "--json").out)
    (home.home / "config/scripts/broken.yaml").unlink()
    fits("check", home.penstock("check", "--json").out)
    fits("scripts", home.penstock("scripts", "--json").out)
    fits("script-details", home.penstock("scripts", "keep", "--json").out)
    fits("outcome", home.penstock("exec", "keep", "--json").out)
    refused = fits("outcome", home.penstock("exec", "keep", "-p", "a=b", "--json").out)
    assert refused["exitCode"] is None
    for _ in running_up(home):
        fits("submitted", home.penstock("submit", "keep", "--id", "one", "--tag", "t", "--json").out)
        fits("task", home.penstock("run", "keep", "--json", "-q").out)
        fits("task", home.penstock("run", "keep", "--id", "one", "--json", "-q").out)
        assert fits("tasks", home.penstock("tasks", "--json").out)["total"] == 2
        assert fits("tasks", home.penstock("tasks", "--limit", "1", "--json").out)["next"]
        fits("task", home.penstock("show", "one", "--json").out)
        assert fits("artifacts", home.penstock("artifacts", "one", "--json").out)["artifacts"]
        assert fits("cancelled", home.penstock("cancel", "one", "no-such", "--json").out)["tasks"]


def fits(name: str, text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    validator = jsonschema().Draft202012Validator(DOCUMENT_SCHEMAS[name], format_checker=jsonschema().FormatChecker())
    assert [error.message for error in validator.iter_errors(document)] == []
    return document


def test_the_overview_of_the_command_line_names_every_command() -> None:
    table = (ROOT / "docs" / "cli.md").read_text().partition("## Payloads")[0]
    assert set(re.findall(r"`([\w-]+)`", table)) >= set(COMMANDS)


def test_the_interface_names_every_reason() -> None:
    text = (ROOT / "docs" / "interface.md").read_text().partition("## Statuses and reasons")[2]
    known = {verdict.reason for verdict in MEANINGS.values() if verdict.reason} | RETRIED
    known |= {
        "artifact-error",
        "claim-expired",
        "script-disabled",
        "not-allowed",
        "max-run-time",
        "no-output",
        "cancelled",
    }
    assert {reason for reason in known if f"`{reason}`" not in text} == set()


def test_commands_and_what_they_print_are_told_apart() -> None:
    assert list(commands("$ one\n$ two \\\n> more\nprinted\n\nlast\n")) == [
        Command("one", None),
        Command("two \\\nmore", "printed\n\nlast"),
    ]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a", "a\n", True),
        ("a", "b\n", False),
        ("a ... c", "a b c\n", True),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...", "a\n", True),
        ("a.c", "abc\n", False),
        ("a", "a\nb\n", False),
    ],
)
def test_printed_text_is_compared_line_by_line(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
