"""Why a payload is not what a schema asks for: every violation, with its place, the rule, what was found.

Lazy, so that a payload with a million mistakes costs no more than the ones that are read. Whether a payload
is valid is decided elsewhere, by the validator of the whole schema; this walks the schema only where that
said no.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.schema.evaluated import evaluated_elements, evaluated_members, left_over, matchers
from engine.schema.keywords import LEAVES, PLACE
from engine.schema.shown import choices, expected, quoted
from engine.schema.tree import Node, Path
from engine.schema.validator import Places

# How much of each branch of oneOf/anyOf is told, and how many branches inside branches.
BRANCHES = 8
PER_BRANCH = 3
NESTED = 2


class Violation(Struct, frozen=True):
    """`told` is what the schema asks for, `found` the value it met (`absent` when that is not the point).

    `literal` is what the schema itself spells out, as in `const`; `names` are texts of the payload that
    `told` repeats: both are held back where the value is secret. `near` are the names that were perhaps
    meant.
    """

    path: Path
    keyword: str
    told: str
    found: Any = None
    absent: bool = True
    literal: str = ""
    names: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    branches: tuple[tuple[str, tuple[Violation, ...]], ...] = ()


class Explainer:
    def __init__(self, places: Places) -> None:
        self._places = places

    def explain(self, node: Node, value: Any, path: Path = (), depth: int = 0) -> Iterator[Violation]:
        schema = node.schema
        if schema is False:
            yield Violation(path, "false", "no value is allowed here", value, absent=False)
            return
        if not isinstance(schema, dict):
            return
        if self._valid(node, value):
            return
        if "type" in schema and not self._leaf("type", schema["type"], value):
            yield Violation(path, "type", f"expected {_types(schema['type'])}", value, absent=False)
        yield from self._leaves(schema, value, path)
        if isinstance(value, dict):
            yield from self._object(node, schema, value, path, depth)
        elif isinstance(value, list):
            yield from self._array(node, schema, value, path, depth)
        yield from self._combined(node, schema, value, path, depth)

    def _valid(self, node: Node, value: Any) -> bool:
        return self._places.at(node.path).is_valid(value)

    def _leaf(self, keyword: str, wanted: Any, value: Any) -> bool:
        return self._places.leaf(keyword, wanted).is_valid(value)

    def _leaves(self, schema: dict[str, Any], value: Any, path: Path) -> Iterator[Violation]:
        for keyword in LEAVES:
            if keyword in schema and not self._leaf(keyword, schema[keyword], value):
                told, literal = _ask(keyword, schema[keyword])
                yield Violation(path, keyword, told, value, absent=keyword == "uniqueItems", literal=literal)

    # --- objects ---

    def _object(
        self, node: Node, schema: dict[str, Any], value: dict[str, Any], path: Path, depth: int
    ) -> Iterator[Violation]:
        for name in schema.get("required", ()):
            if name not in value:
                yield Violation(path, "required", f"the property {quoted(name)} is missing")
        for name, others in schema.get("dependentRequired", {}).items():
            if name in value:
                for other in others:
                    if other not in value:
                        told = f"the property {quoted(other)} is missing, which {quoted(name)} asks for"
                        yield Violation(path, "dependentRequired", told)
        for name in schema.get("properties", {}):
            if name in value:
                child = node.child("properties", name)
                yield from self._member(child, "properties", value, path, name, depth)
        for pattern, matches in matchers(schema):
            child = node.child("patternProperties", pattern)
            for name in value:
                if matches(name):
                    yield from self._member(child, "patternProperties", value, path, name, depth)
        yield from self._names(node, schema, value, path)
        yield from self._rest(node, schema, value, path, depth)

    def _member(
        self, child: Node, keyword: str, value: dict[str, Any], path: Path, name: str, depth: int
    ) -> Iterator[Violation]:
        for violation in self.explain(child, value[name], (*path, name), depth):
            yield replace(violation, keyword=keyword) if violation.keyword == "false" else violation

    def _names(self, node: Node, schema: dict[str, Any], value: dict[str, Any], path: Path) -> Iterator[Violation]:
        if "propertyNames" not in schema:
            return
        child = node.child("propertyNames")
        for name in value:
            if not self._valid(child, name):
                why = tuple(islice(self.explain(child, name, (*path, name), NESTED), PER_BRANCH))
                told = f"the name {quoted(name)} is not allowed"
                yield Violation(
                    (*path, name), "propertyNames", told, names=(name,), branches=(("", why),) if why else ()
                )

    def _rest(
        self, node: Node, schema: dict[str, Any], value: dict[str, Any], path: Path, depth: int
    ) -> Iterator[Violation]:
        for keyword in ("additionalProperties", "unevaluatedProperties"):
            if schema.get(keyword, True) is True:
                continue
            if keyword == "additionalProperties":
                names = left_over(schema, value)
            else:
                seen = evaluated_members(node, value, self._places)
                names = [name for name in value if name not in seen]
            child = node.child(keyword)
            near = tuple(n for n in declared(node) if n not in value) if names else ()
            for name in names:
                if child.schema is False:
                    told = f"the property {quoted(name)} is not allowed"
                    yield Violation((*path, name), keyword, told, names=(name,), near=near)
                else:
                    yield from self.explain(child, value[name], (*path, name), depth)

    # --- arrays ---

    def _array(
        self, node: Node, schema: dict[str, Any], value: list[Any], path: Path, depth: int
    ) -> Iterator[Violation]:
        first = schema.get("prefixItems", ())
        for i, _ in enumerate(first[: len(value)]):
            yield from self.explain(node.child("prefixItems", i), value[i], (*path, i), depth)
        if "items" in schema:
            left = range(len(first), len(value))
            yield from self._elements(node, "items", value, left, path, depth)
        if "contains" in schema:
            yield from self._contains(node, schema, value, path)
        if "unevaluatedItems" in schema:
            seen = evaluated_elements(node, value, self._places)
            over = [i for i in range(len(value)) if i not in seen]
            yield from self._elements(node, "unevaluatedItems", value, over, path, depth)

    def _elements(
        self, node: Node, keyword: str, value: list[Any], indexes: range | list[int], path: Path, depth: int
    ) -> Iterator[Violation]:
        child = node.child(keyword)
        if child.schema is False:
            if indexes:
                told = f"{len(indexes)} more items than are allowed, from number {indexes[0] + 1} on"
                yield Violation((*path, indexes[0]), keyword, told)
            return
        for i in indexes:
            yield from self.explain(child, value[i], (*path, i), depth)

    def _contains(self, node: Node, schema: dict[str, Any], value: list[Any], path: Path) -> Iterator[Violation]:
        wanted = self._places.at(node.child("contains").path)
        count = sum(map(wanted.is_valid, value))
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        if count < least:
            keyword = "minContains" if "minContains" in schema else "contains"
            yield Violation(path, keyword, f"at least {least} items must match, {count} do")
        if most is not None and count > most:
            yield Violation(path, "maxContains", f"at most {most} items may match, {count} do")

    # --- the same value, judged by more schemas ---

    def _combined(self, node: Node, schema: dict[str, Any], value: Any, path: Path, depth: int) -> Iterator[Violation]:
        for target in node.references.values():
            yield from self.explain(target, value, path, depth)
        for i in range(len(schema.get("allOf", ()))):
            yield from self.explain(node.child("allOf", i), value, path, depth)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                yield from self._branches(node, keyword, len(schema[keyword]), value, path, depth)
        if "not" in schema and self._valid(node.child("not"), value):
            yield Violation(path, "not", "the value matches what it must not match", value, absent=False)
        if "if" in schema:
            branch = "then" if self._valid(node.child("if"), value) else "else"
            if branch in schema:
                yield from self.explain(node.child(branch), value, path, depth)
        if isinstance(value, dict):
            for name in schema.get("dependentSchemas", ()):
                if name in value:
                    yield from self.explain(node.child("dependentSchemas", name), value, path, depth)

    def _branches(
        self, node: Node, keyword: str, count: int, value: Any, path: Path, depth: int
    ) -> Iterator[Violation]:
        branches = [node.child(keyword, i) for i in range(count)]
        passed = [i for i, branch in enumerate(branches) if self._valid(branch, value)]
        if (passed and keyword == "anyOf") or len(passed) == 1:
            return
        if passed:
            which = " and ".join(str(i + 1) for i in passed)
            yield Violation(path, keyword, f"branches {which} match, exactly one of {count} may")
            return
        told = f"no branch of {count} matches"
        if depth >= NESTED:
            yield Violation(path, keyword, told)
            return
        listed = tuple(
            (
                _branch_name(branch.schema, i),
                tuple(islice(self.explain(branch, value, path, depth + 1), PER_BRANCH)),
            )
            for i, branch in enumerate(branches[:BRANCHES])
        )
        yield Violation(path, keyword, told, branches=listed)


def declared(node: Node) -> Iterator[str]:
    """The property names that a schema and those beside it on the same value declare."""
    seen: set[Path] = set()
    stack = [node]
    while stack:
        each = stack.pop()
        if each.path in seen or not isinstance(each.schema, dict):
            continue
        seen.add(each.path)
        yield from each.schema.get("properties", ())
        stack.extend(each.inside(PLACE))


def _branch_name(schema: Any, index: int) -> str:
    title = schema.get("title") if isinstance(schema, dict) else None
    return f"branch {index + 1}" + (f" ({quoted(title)})" if isinstance(title, str) else "")


def _types(wanted: Any) -> str:
    return wanted if isinstance(wanted, str) else " or ".join(wanted)


def _ask(keyword: str, wanted: Any) -> tuple[str, str]:
    """What a keyword asks for in words, and the part of it that spells out values."""
    match keyword:
        case "const":
            return "expected", expected(wanted)
        case "enum":
            return "expected one of", choices(wanted)
        case "pattern":
            return "expected a match of the pattern", quoted(wanted)
        case "format":
            return f"expected the format {quoted(wanted)}", ""
        case "uniqueItems":
            return "the items must differ from each other", ""
        case "multipleOf":
            return f"expected a multiple of {expected(wanted)}", ""
        case "minLength" | "maxLength":
            return f"expected at {_bound(keyword)} {wanted} characters", ""
        case "minItems" | "maxItems":
            return f"expected at {_bound(keyword)} {wanted} items", ""
        case "minProperties" | "maxProperties":
            return f"expected at {_bound(keyword)} {wanted} properties", ""
        case "minimum" | "maximum":
            return f"expected at {_bound(keyword)} {expected(wanted)}", ""
        case "exclusiveMinimum":
            return f"expected more than {expected(wanted)}", ""
        case _:
            return f"expected less than {expected(wanted)}", ""


def _bound(keyword: str) -> str:
    return "least" if keyword.startswith("min") else "most"
