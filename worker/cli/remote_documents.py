"""Remote documents: what a server answers, cut to the documents that the commands print.

A server may be newer and say more: that is left out. What is missing or has another form is refused: ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from worker.cli.document_schema import DOCUMENT_SCHEMAS

if TYPE_CHECKING:
    from jsonschema_rs import Validator


def document(name: str, found: Any) -> dict[str, Any]:
    """`name`: of the schema of the document."""
    cut: dict[str, Any] = _cut(DOCUMENT_SCHEMAS[name], found)
    wrong = next(_validator(name).iter_errors(cut), None)
    if wrong is not None:
        raise ValueError(f"not as the schema {name} says, at {'/'.join(map(str, wrong.instance_path))[:100]!r}")
    return cut


def _cut(schema: Mapping[str, Any], found: Any) -> Any:
    if isinstance(found, dict):
        whole = next((each for each in (schema, *schema.get("anyOf", ())) if "properties" in each), None)
        if whole is None:
            return found
        return {key: _cut(each, found[key]) for key, each in whole["properties"].items() if key in found}
    if isinstance(found, list) and "items" in schema:
        return [_cut(schema["items"], each) for each in found]
    return found


@lru_cache
def _validator(name: str) -> Validator:
    from engine.schema.validator import compile_validator

    return compile_validator(DOCUMENT_SCHEMAS[name])
