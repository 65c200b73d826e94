"""Property types: what a schema says of the type of a property; for typing arguments, not for judging values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NESTED = ("allOf", "anyOf", "oneOf")
_SINGLE = ("if", "then", "else")
_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


class Properties:
    """The properties of a schema's document, through local references and combinations."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def path(self, key: str) -> tuple[str, ...]:
        """`a.b` means the member b of a where `a` is declared and `a.b` is not; else it is a key like others."""
        head, dot, rest = key.partition(".")
        if not dot or not head or not rest or self._declared([self._document], key):
            return (key,)
        return self._path([self._document], key)

    def types(self, path: tuple[str, ...]) -> frozenset[str] | None:
        """The types that the property may have; None where the schema does not say."""
        schemas = [self._document]
        for name in path:
            schemas = self._declared(schemas, name)
        found: set[str] = set()
        for schema in schemas:
            for part in self._parts(schema):
                found |= _named(part)
        return frozenset(found) or None

    def _path(self, schemas: list[Mapping[str, Any]], key: str) -> tuple[str, ...]:
        head, dot, rest = key.partition(".")
        inner = self._declared(schemas, head)
        if not dot or not rest or not inner or self._declared(schemas, key):
            return (key,)
        return (head, *self._path(inner, rest))

    def _declared(self, schemas: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
        """The schemas of the property of that name, wherever it is declared."""
        found = []
        for schema in schemas:
            for part in self._parts(schema):
                members = part.get("properties")
                if isinstance(members, Mapping) and isinstance(members.get(name), Mapping):
                    found.append(members[name])
        return found

    def _parts(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The schema itself and all that it combines, each once."""
        seen: set[int] = set()
        waiting: list[Any] = [schema]
        while waiting:
            part = waiting.pop()
            if not isinstance(part, Mapping) or id(part) in seen:
                continue
            seen.add(id(part))
            yield part
            for keyword in _NESTED:
                waiting.extend(part.get(keyword) or ())
            waiting.extend(part.get(keyword) for keyword in _SINGLE)
            waiting.append(self._referred(part.get("$ref")))

    def _referred(self, reference: Any) -> Any:
        """What `#/a/b` points at; None for every other form."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: Any = self._document
        for name in reference[1:].split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(name)
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return found


def _named(schema: Mapping[str, Any]) -> set[str]:
    """The types that one schema names by itself."""
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared}
    if isinstance(declared, list):
        return {name for name in declared if isinstance(name, str)}
    values = [*(schema.get("enum") or ()), *([schema["const"]] if "const" in schema else ())]
    return {_TYPES[type(value)] for value in values if type(value) in _TYPES}
