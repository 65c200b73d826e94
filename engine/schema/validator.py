"""The validators: 2020-12, formats asserted, regular expressions in linear time, nothing ever fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jsonschema_rs import (
    Draft202012Validator,
    FancyRegexOptions,
    RegexOptions,
    Registry,
    ValidationError,
    Validator,
)

from engine.schema.keywords import DIALECT

# Values are never taken into the messages of the library: they cost a copy each and may be secret.
_MASK = "***"
_OWN = "urn:penstock:document"


def compile_validator(
    schema: Any, *, registry: Registry | None = None, patterns: RegexOptions | FancyRegexOptions | None = None
) -> Validator:
    """Raises `jsonschema_rs.ValidationError` for what is no schema."""
    return Draft202012Validator(
        schema,
        validate_formats=True,
        ignore_unknown_formats=True,  # the lint has refused them; `password` is left, which asserts nothing
        registry=registry,
        offline=True,
        mask=_MASK,
        pattern_options=patterns or RegexOptions(),
    )


@lru_cache(maxsize=1)
def meta_validator() -> Validator:
    """Judges schema documents. Patterns are left to `pattern_problem`, which knows which engine will run
    them.
    """
    return Draft202012Validator({"$ref": DIALECT}, validate_formats=False, offline=True, mask=_MASK)


def pattern_problem(pattern: str) -> str | None:
    """Why a regular expression cannot be used, or None."""
    try:
        compile_validator({"pattern": pattern})
    except ValidationError:
        try:
            compile_validator({"pattern": pattern}, patterns=FancyRegexOptions())
        except ValidationError:
            return "is no regular expression that can be read (ECMA-262 syntax)"
        return (
            "needs an engine that backtracks (look-around, back-reference), which a payload "
            "could keep busy for ever; write it without"
        )
    return None


@lru_cache(maxsize=1024)
def name_matcher(pattern: str) -> Callable[[str], bool]:
    """The test that `patternProperties` makes of a name."""
    return compile_validator({"pattern": pattern}).is_valid


class Places:
    """Validators of single places of one document, made when they are first asked for."""

    def __init__(self, document: Any) -> None:
        self._registry = Registry([(_OWN, document)])
        self._made: dict[tuple[str | int, ...], Validator] = {}
        self._leaves: dict[tuple[str, str], Validator] = {}

    def at(self, path: tuple[str | int, ...]) -> Validator:
        """The subschema at that path, references out of it included."""
        found = self._made.get(path)
        if found is None:
            fragment = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
            found = compile_validator({"$ref": f"{_OWN}#{quote(fragment)}"}, registry=self._registry)
            self._made[path] = found
        return found

    def leaf(self, keyword: str, value: Any) -> Validator:
        """One keyword by itself."""
        key = (keyword, json.dumps(value))
        found = self._leaves.get(key)
        if found is None:
            found = self._leaves[key] = compile_validator({keyword: value})
        return found
