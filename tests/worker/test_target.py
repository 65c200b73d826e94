"""Target: which workers a target means, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.model.target import NotATarget, Target, parse_target, queue_of, read_target, worker_of

PARTS = st.sampled_from(["web", "webmail", "dev", "db", "eu-1"])
VALUES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
PAIRS = st.tuples(st.sampled_from(["group", "zone", "os"]), VALUES)
CARRIED = st.lists(PAIRS, max_size=5)


@given(wanted=PAIRS, carried=CARRIED)
def test_a_label_means_itself_and_what_is_below_it(wanted: tuple[str, str], carried: list[tuple[str, str]]) -> None:
    target = parse_target([":".join(wanted)])
    assert target is not None
    path = wanted[1].split(".")
    expected = any(key == wanted[0] and value.split(".")[: len(path)] == path for key, value in carried)
    assert target.matches("w", ["=".join(pair) for pair in carried]) is expected


@given(wanted=st.lists(PAIRS, min_size=1, max_size=4), carried=CARRIED)
def test_several_labels_mean_whoever_each_of_them_means(
    wanted: list[tuple[str, str]], carried: list[tuple[str, str]]
) -> None:
    labels = ["=".join(pair) for pair in carried]
    each = [Target(labels=(pair,)).matches("w", labels) for pair in wanted]
    assert Target(labels=tuple(wanted)).matches("w", labels) is all(each)


@given(carried=CARRIED, more=PAIRS)
def test_who_carries_more_is_meant_by_no_less(carried: list[tuple[str, str]], more: tuple[str, str]) -> None:
    labels = ["=".join(pair) for pair in carried]
    for pair in carried:
        assert Target(labels=(pair,)).matches("w", [*labels, "=".join(more)])
    assert Target().matches("w", labels)


@given(
    st.one_of(
        st.just(Target()), st.builds(Target, labels=st.lists(PAIRS, min_size=1, max_size=10, unique=True).map(tuple))
    )
)
def test_a_target_is_read_as_it_is_written(target: Target) -> None:
    assert read_target(str(target)) == target


def test_a_name_means_that_worker_alone() -> None:
    target = parse_target(["web-1"])
    assert target == Target(worker="web-1") and str(target) == "web-1"
    assert target.matches("web-1", []) and not target.matches("web-10", ["group=web-1"])
    assert worker_of(queue_of("web-1")) == "web-1" and worker_of("penstock") is None


def test_any_is_nobody_in_particular() -> None:
    assert parse_target(["_any"]) is None and parse_target(["_all"]) == Target()


@given(st.lists(st.text(max_size=90), max_size=12))
def test_whatever_is_given_is_a_target_or_is_refused(texts: list[str]) -> None:
    try:
        target = parse_target(texts)
    except NotATarget as error:
        assert str(error).isascii() and str(error).isprintable()
    else:
        assert target is None or (str(target).isascii() and str(target).isprintable())


@pytest.mark.parametrize(
    "texts",
    [
        *([], [""], ["a b"], ["-rf"], ["../x"], ["a\n"], ["web*"], ["x" * 64], ["é"], ["a/b"]),
        *([":web"], ["group:"], ["group:web."], ["group:.web"], ["group:a..b"], ["group=web"], ["group:a b"]),
        *(["_all", "group:web"], ["one", "two"], ["group:web\n"], ["group:" + "a" * 201], ["a:b"] * 11),
    ],
)
def test_what_is_no_target_is_refused(texts: list[str]) -> None:
    with pytest.raises(NotATarget):
        parse_target(texts)
