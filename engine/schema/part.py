"""One schema document, compiled: the part of a payload's schema that one owner wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema_rs import ReferencingError, ValidationError

from engine.errors import DeclarationError, Problem
from engine.schema.close import closed
from engine.schema.explain import Explainer, Violation
from engine.schema.keywords import DYNAMIC, PLACE
from engine.schema.lint import lint, unreadable
from engine.schema.screen import Screen
from engine.schema.secrets import marked, secrets_of
from engine.schema.shown import MASK, quoted
from engine.schema.tree import Tree, look_up
from engine.schema.validator import Places, compile_validator, name_matcher

_SPELLED_OUT = frozenset({"const", "enum", "default", "examples"})


class Part:
    """Immutable. `is_valid` decides; the rest is for telling why, and for what of a value may be shown."""

    __slots__ = ("_explainer", "_tree", "document", "is_valid", "secrets", "source")

    def __init__(self, document: Mapping[str, Any], *, payload: bool) -> None:
        """`payload`: the document describes a whole payload, so that its root is an object, closed when
        silent.

        Raises `DeclarationError` with every problem, pointers relative to the document.
        """
        if problems := unreadable(document):
            raise DeclarationError(problems)
        text = json.dumps(dict(document), ensure_ascii=False)
        own: dict[str, Any] = json.loads(text)
        problems = lint(own, Tree(own), payload=payload)
        if problems:
            raise DeclarationError(problems)
        self.document = closed(own) if payload else own
        self.source = json.dumps(self.document, ensure_ascii=False)
        self._tree = Tree(self.document)
        try:
            self.is_valid = compile_validator(self.document).is_valid
        except (ValidationError, ReferencingError) as error:
            raise DeclarationError([Problem(f"cannot be compiled: {error}")]) from None
        self.secrets = secrets_of(self._tree, name_matcher)
        self._explainer: Explainer | None = None

    def violations(self, value: Any) -> Iterator[Violation]:
        """Lazy; at least one when the value is not valid, none when it is."""
        if self.is_valid(value):
            return
        if self._explainer is None:
            self._explainer = Explainer(Places(self.document))
        told = False
        for violation in self._explainer.explain(self._tree.root, value):
            told = True
            yield violation
        if not told:
            # A $dynamicRef may lead elsewhere than the explanation followed it; the verdict stands.
            yield Violation((), "schema", "the value does not match")

    def screen(self, value: Any) -> Screen:
        return Screen(self.secrets, value)

    def declares(self, key: str) -> bool:
        """Whether the root, or what it combines, has a property of that name."""
        for node in self._tree.closure(self._tree.root, PLACE, DYNAMIC):
            schema = node.schema
            if isinstance(schema, dict):
                patterns = schema.get("patternProperties", ())
                if key in schema.get("properties", ()) or any(name_matcher(p)(key) for p in patterns):
                    return True
        return False

    def shown(self) -> dict[str, Any]:
        """The document without the values that it spells out for secrets."""
        copy: dict[str, Any] = json.loads(self.source)
        for node in self._tree.nodes.values():
            if self.secrets.any and marked(node.schema):
                place = look_up(copy, node.path)
                place.update(dict.fromkeys(_SPELLED_OUT & place.keys(), MASK))
        return copy

    def claims(self, key: str) -> str | None:
        """How the root itself speaks of a top-level key, or None."""
        for node in self._tree.closure(self._tree.root, PLACE, DYNAMIC):
            schema = node.schema
            if not isinstance(schema, dict):
                continue
            for keyword in ("properties", "required", "dependentRequired", "dependentSchemas"):
                if key in schema.get(keyword, ()):
                    return f"{keyword} at {'/'.join(('#', *map(str, node.path)))}"
            for pattern in schema.get("patternProperties", ()):
                if name_matcher(pattern)(key):
                    return f"the pattern {quoted(pattern)} in patternProperties"
        return None
