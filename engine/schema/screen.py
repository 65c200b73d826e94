"""Violations as lines for people, with every secret of the payload held back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from engine.schema.explain import Violation
from engine.schema.secrets import PLAIN, Rule, Secrets
from engine.schema.shown import MASK, VALUE_CHARS, kind, pointer, shown, suggestion
from engine.schema.tree import Path

# A secret that is repeated elsewhere is known by its first characters; shorter ones than 4 only as a whole,
# or every text with an "a" in it would be held back.
_KNOWN_BY = 64
_LEAST = 4
# With more secrets than this, nothing that a payload holds is shown: comparing with each would take too long.
_MOST = 1000


class Screen:
    """What may be shown of one payload."""

    def __init__(self, secrets: Secrets, value: Any) -> None:
        self._secrets = secrets
        hidden = secrets.hidden(value)
        self._all = len(hidden) > _MOST
        texts = {_text(each) for each in hidden if _is_text(each)} if not self._all else set()
        self._exact = frozenset(texts)
        self._inside = tuple(text[:_KNOWN_BY] for text in texts if len(text) >= _LEAST)

    def pointer(self, path: Path) -> str:
        """The place, cut below a secret: what stands below it is part of it."""
        return pointer(self._visible(path))

    def line(self, violation: Violation) -> str:
        """The rule, what it asks for, and what was found as far as it may be shown."""
        rule = self._rule(violation.path)
        text = f"{violation.keyword}: {self._told(violation, rule)}"
        if not violation.absent:
            text = f"{text}, found {self._found(violation.found, rule)}"
        for name, inside in violation.branches:
            why = "; ".join(self._relative(violation.path, each) + self.line(each) for each in inside)
            text = f"{text}; {name}: {why}" if name else f"{text}: {why}"
        return text

    def _told(self, violation: Violation, rule: Rule) -> str:
        if violation.names:
            if self._rule(violation.path[:-1]).secret or any(map(self._repeats, violation.names)):
                return "the name of a property is not allowed"
            return violation.told + suggestion(violation.names[0], violation.near)
        if violation.literal:
            # What is expected of a secret is as secret as the value.
            return f"{violation.told} {violation.literal if rule == PLAIN else 'what the schema names'}"
        return violation.told

    def _found(self, value: Any, rule: Rule) -> str:
        if isinstance(value, (dict, list)):
            return shown(value)
        if rule != PLAIN or (_is_text(value) and self._repeats(_text(value))):
            return f"{kind(value)} that is not shown"
        return shown(value)

    def _repeats(self, text: str) -> bool:
        if self._all or text in self._exact:
            return True
        start = text[: VALUE_CHARS + _KNOWN_BY]
        return any(secret in start for secret in self._inside)

    def _rule(self, path: Path) -> Rule:
        rule = self._secrets.root
        for segment in path:
            rule = self._secrets.below(rule, segment)
        return rule

    def _visible(self, path: Path) -> Iterator[str | int]:
        rule = self._secrets.root
        for segment in path:
            if rule.secret:
                return
            yield MASK if isinstance(segment, str) and self._repeats(segment) else segment
            rule = self._secrets.below(rule, segment)

    def _relative(self, outer: Path, inner: Violation) -> str:
        whole = tuple(self._visible(inner.path))
        return pointer(whole[len(outer) :]) + " " if len(whole) > len(outer) else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
