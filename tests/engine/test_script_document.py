from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DeclarationError, Problem
from engine.script.document import Document, read_document


def read(tmp_path: Path, text: str | bytes) -> Document:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(path)


def problems(tmp_path: Path, text: str | bytes) -> list[Problem]:
    with pytest.raises(DeclarationError) as caught:
        read(tmp_path, text)
    assert all(p.file == str(tmp_path / "x.yaml") for p in caught.value.problems)
    return list(caught.value.problems)


def test_scalars_follow_the_core_schema_of_yaml_1_2(tmp_path: Path) -> None:
    text = """
    no: no
    on: on
    time: 12:30
    date: 2026-01-02
    octal: 0o17
    hex: 0xff
    zeros: 007
    underscore: 1_000
    float: 1e3
    quoted: "1"
    tagged: !!str 1
    null: ~
    empty:
    yes: True
    block: |
      two
      lines
    """
    with pytest.raises(DeclarationError, match='the key null is no string; write "null"'):
        read(tmp_path, text)
    assert read(tmp_path, text.replace("    null:", "    nothing:")).value == {
        "no": "no",
        "on": "on",
        "time": "12:30",
        "date": "2026-01-02",
        "octal": 15,
        "hex": 255,
        "zeros": 7,
        "underscore": "1_000",
        "float": 1000.0,
        "quoted": "1",
        "tagged": "1",
        "nothing": None,
        "empty": None,
        "yes": True,
        "block": "two\nlines\n",
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeff", "~"])
def test_a_file_that_says_nothing_is_an_empty_mapping(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).value == {}


def test_a_pointer_leads_to_line_and_column_or_those_of_its_nearest_parent(tmp_path: Path) -> None:
    document = read(tmp_path, "a:\n  b~/c:\n    - 1\n    - {x: 2}\n")
    places = {
        "": (1, 1),
        "/a": (1, 1),
        "/a/b~0~1c": (2, 3),
        "/a/b~0~1c/1": (4, 7),
        "/a/b~0~1c/1/x": (4, 8),
        "/a/b~0~1c/1/x/deeper": (4, 8),
        "/a/b~0~1c/7": (2, 3),
        "/none/at/all": (1, 1),
    }
    for pointer, place in places.items():
        problem = document.problem(pointer, "m")
        assert (problem.line, problem.column) == place, pointer
        assert (problem.pointer, problem.file) == (pointer, str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "stands there twice, first in line 1"),
        ("a: 1\n'a': 3\n", 2, "twice"),
        ("a: 1\n---\nb: 1\n", 2, "more than one document"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("a: !include x\n", 1, "tag"),
        ("a: !!timestamp 2026-01-01\n", 1, "tag"),
        ("true: 1\n", 1, 'write "true"'),
        ("1.5: 1\n", 1, 'write "1.5"'),
        ("[a]: 1\n", 1, "a key must be a string"),
        ("? {a: 1}\n: 1\n", 1, "a key must be a string"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys"),
        ("a: .inf\n", 1, "no number that JSON has"),
        ("a: 1e999\n", 1, "too large"),
        ("a: *none\n", 1, "alias"),
        ("a: &x [*x]\n", 1, "repeats what it stands in"),
        ("%YAML 1.1\n---\na: no\n", 2, "only YAML 1.2"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: 'x\n", 2, "not YAML"),
        ("\tb: 1", 1, "not YAML"),
    ],
)
def test_what_hides_a_mistake_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    found = problems(tmp_path, text)
    assert any(words in p.message and p.line == line for p in found), found


def test_every_problem_of_a_document_is_told_at_once(tmp_path: Path) -> None:
    assert [p.line for p in problems(tmp_path, "a: .nan\nb: !x 1\nb: 2\ntrue: 1\n")] == [1, 2, 3, 4]


def test_integer_keys_are_taken_by_their_text(tmp_path: Path) -> None:
    assert read(tmp_path, "{0: a, 75: b}").value == {"0": "a", "75": "b"}
    assert "twice" in problems(tmp_path, "{0: a, '0': b}")[0].message


def test_an_alias_repeats_its_value_as_a_copy(tmp_path: Path) -> None:
    value = read(tmp_path, "a: &x {b: [1]}\nc: *x\n").value
    assert value == {"a": {"b": [1]}, "c": {"b": [1]}}
    value["a"]["b"].append(2)
    assert value["c"] == {"b": [1]}


BOMBS = {
    "aliases": "a0: &a0 [x,x,x,x,x,x,x,x]\n"
    + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
    "deep aliases": "a0: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 300)),
    "depth": "a: " + "[" * 50_000,
    "block depth": "".join(" " * i + "a:\n" for i in range(300)),
    "digits": "a: " + "9" * 5000,
}


@pytest.mark.timeout(60)  # expanded, some of them would take for ever
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused(tmp_path: Path, bomb: str) -> None:
    assert problems(tmp_path, BOMBS[bomb])


def test_a_file_that_cannot_be_read_is_a_problem_that_names_it(tmp_path: Path) -> None:
    assert "not UTF-8" in problems(tmp_path, b"a: 1\nb: \xff\n")[0].message
    assert problems(tmp_path, b"a: 1\nb: \xff\n")[0].line == 2
    assert "larger than" in problems(tmp_path, b"#" * (1024 * 1024 + 1))[0].message
    os.mkfifo(tmp_path / "fifo")
    for name, words in [("none", "No such file"), (".", "not a regular file"), ("fifo", "not a regular file")]:
        with pytest.raises(DeclarationError, match=words):
            read_document(tmp_path / name)


@given(st.text(max_size=80) | st.text(alphabet="ab:- \n[]{}&*!|>'\"#?,%~1.", max_size=80))
def test_any_text_is_a_json_value_or_a_declaration_error(tmp_path_factory: Any, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        document = read_document(path)
    except DeclarationError as error:
        assert error.problems
    else:
        json.dumps(document.value, allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5), st.recursive(st.integers() | st.text(max_size=9) | st.booleans(), st.lists), max_size=4
    )
)
def test_json_is_yaml_and_reads_the_same(tmp_path_factory: Any, value: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "json.yaml"
    # Escapes of surrogate pairs and of DEL are where JSON is no subset of YAML; everything else is.
    text = json.dumps(value, ensure_ascii=False)
    if not all(c.isprintable() for c in text):
        return
    path.write_text(text, "utf-8")
    assert read_document(path).value == value
