from __future__ import annotations

import datetime
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PayloadError
from engine.schema import check_value, dump_payload, parse_payload

MIB = 1024 * 1024

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def refusal(data: bytes, **bounds: int) -> list[tuple[str, str]]:
    with pytest.raises(PayloadError) as caught:
        parse_payload(data, max_bytes=bounds.pop("max_bytes", MIB), **bounds)
    return [(p.pointer, p.message) for p in caught.value.problems]


def value_refusal(value: Any, **bounds: int) -> list[tuple[str, str]]:
    with pytest.raises(PayloadError) as caught:
        check_value(value, max_bytes=bounds.pop("max_bytes", MIB), **bounds)
    return [(p.pointer, p.message) for p in caught.value.problems]


def test_all_suspicious_tokens_are_named_with_their_places() -> None:
    found = refusal(b'{"a": 1, "a": 2, "b": {"c~/": [NaN, 1e999, -Infinity, {"x": 1, "x": 2}]}}')
    assert [pointer for pointer, _ in found] == ["/a", "/b/c~0~1/0", "/b/c~0~1/1", "/b/c~0~1/2", "/b/c~0~1/3/x"]
    assert "1e999" in found[2][1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[1]", "found an array"),
        (b"null", "found null"),
        (b'"x"', "found a string"),
        (b"", "line 1, column 1"),
        (b"{", "not JSON"),
        (b'{"a":1} x', "Extra data"),
        (b'{"a":"\n"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a":"\\ud800"}', "lone surrogate"),
        (b'{"\\udc00":1}', "lone surrogate"),
    ],
)
def test_what_is_no_strict_json_object_is_refused_with_its_reason(data: bytes, words: str) -> None:
    assert words in refusal(data)[0][1]


def test_a_surrogate_pair_is_text() -> None:
    assert parse_payload(b'{"a":"\\ud83d\\ude00"}', max_bytes=99) == {"a": "\U0001f600"}


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    assert refusal(b"\xff" * 11, max_bytes=10) == [("", "the payload has 11 bytes, at most 10 are allowed")]


@pytest.mark.parametrize("bomb", [b"[" * 10**6, b'{"a":' * 10**5, b'{"a":' + b"[{" * 40 + b'"', b'"' + b"[" * 999])
def test_depth_bombs_are_refused_without_recursion(bomb: bytes) -> None:
    assert "deeper than the 64 levels" in refusal(bomb, max_bytes=10 * MIB)[0][1]


def test_the_depth_that_is_allowed_is_exact_and_strings_do_not_count() -> None:
    deep = b'{"a":' + b"[" * 63 + b'"[[[[\\"[[[{{{"' + b"]" * 63 + b"}"
    assert parse_payload(deep, max_bytes=MIB)
    assert "64 levels" in refusal(deep.replace(b'"[[', b'["[[', 1))[0][1]


@pytest.mark.parametrize("text", [str(2**53 + 1), str(-(2**64) - 1), "9" * 4300, "-" + "9" * 4300])
def test_integers_stay_exact_to_4300_digits(text: str) -> None:
    data = b'{"n":' + text.encode() + b"}"
    value = parse_payload(data, max_bytes=MIB)
    assert dump_payload(value) == data
    check_value(value, max_bytes=MIB)


def test_an_integer_of_4301_digits_is_refused_with_the_number_of_its_digits() -> None:
    assert refusal(b'{"a":[0,-' + b"9" * 4301 + b"]}") == [
        ("/a/1", "the integer has 4301 digits, at most 4300 are allowed")
    ]
    assert "4300 digits" in value_refusal({"a": 10**4300})[0][1]


def test_longer_integers_are_refused_even_if_the_interpreter_converts_them() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert "4301 digits" in refusal(b'{"a":' + b"9" * 4301 + b"}")[0][1]
    finally:
        sys.set_int_max_str_digits(before)


def test_a_hostile_key_is_shown_escaped_and_shortened() -> None:
    key = json.dumps("\x1b[2J\n" + "k" * 5000)
    ((pointer, message),) = refusal(f"{{{key}: 1, {key}: 2}}".encode())
    assert pointer.isprintable()
    assert message.isprintable()
    assert len(pointer) + len(message) < 400


@given(json_values)
def test_what_is_dumped_is_parsed_to_the_same(value: Any) -> None:
    payload = {"value": value}
    data = dump_payload(payload)
    parsed = parse_payload(data, max_bytes=len(data))
    assert parsed == payload  # a large whole float comes back as the integer that it is
    assert dump_payload(parse_payload(dump_payload(parsed), max_bytes=len(data))) == dump_payload(parsed)
    check_value(parsed, max_bytes=len(data))


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123eE+-. \\udtrueNaN', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_a_payload_error(data: bytes) -> None:
    try:
        value = parse_payload(data, max_bytes=1000)
    except PayloadError as error:
        assert error.problems
        assert all(str(p).isprintable() for p in error.problems)
    else:
        assert value == json.loads(data)


class Sneaky(dict[str, Any]):
    pass


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"a": float("nan")}, "/a"),
        ({"a": [1, float("-inf")]}, "/a/1"),
        ({"a": {"b": b"x"}}, "/a/b"),
        ({"a": (1, 2)}, "/a"),
        ({"a": {1, 2}}, "/a"),
        ({"a": datetime.date(2026, 1, 1)}, "/a"),
        ({"a": "\ud800"}, "/a"),
        ({"\ud800": 1}, ""),
        ({1: 2}, ""),
        ({"a": Sneaky()}, "/a"),
        ([1], ""),
        (None, ""),
    ],
)
def test_a_decoded_value_is_held_to_the_same_rules(value: Any, pointer: str) -> None:
    assert [place for place, _ in value_refusal(value)] == [pointer]


def test_a_decoded_value_that_contains_itself_is_too_deep() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    assert "deeper" in value_refusal(loop)[0][1]


def test_a_decoded_value_is_small_in_memory_and_still_too_large() -> None:
    value: list[Any] = [1]
    for _ in range(40):
        value = [value, value]
    assert "more than the 1000 bytes" in value_refusal({"a": value}, max_bytes=1000)[-1][1]
    assert "bytes, at most" in value_refusal({"a": "x" * 2000}, max_bytes=1000)[0][1]
