"""Which places of a payload may hold a secret, and a copy of the payload without them.

Secret is what a schema marks `writeOnly: true` or `format: password`. The search is by name and errs on the
side of masking: a name under which a secret may stand anywhere is masked everywhere, valid payload or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.schema.keywords import DYNAMIC, ITEM, KEY, NAME, PLACE, REST
from engine.schema.shown import MASK
from engine.schema.tree import Node, Path, Tree


class Rule(Struct, frozen=True):
    """How the value at one place is treated.

    `secret`: masked whole. `members`: an object keeps its keys, their values are masked. `carrier`: a
    secret may stand somewhere below, so a scalar here is one that was put a level too high. `undeclared` is
    how a member is treated whose name the schema declares nowhere (0 shown, 1 a carrier, 2 masked): a
    misspelt `pasword` is one.
    """

    secret: bool = False
    members: bool = False
    carrier: bool = False
    undeclared: int = 0

    def __or__(self, other: Rule) -> Rule:
        return Rule(
            self.secret or other.secret,
            self.members or other.members,
            self.carrier or other.carrier,
            max(self.undeclared, other.undeclared),
        )


PLAIN = Rule()
SECRET = Rule(secret=True)
CARRIER = Rule(carrier=True, undeclared=2)


class Secrets(Struct, frozen=True):
    """The rules of one schema. `patterns` pairs a test for names with the rule of the names that pass it."""

    root: Rule
    names: dict[str, Rule]
    patterns: tuple[tuple[Callable[[str], bool], Rule], ...]

    @property
    def any(self) -> bool:
        return self.root != PLAIN

    def below(self, rule: Rule, segment: str | int) -> Rule:
        """The rule for a member (its name) or an element (its index) of a value under `rule`."""
        if rule.secret or isinstance(segment, int):
            return rule
        if rule.members:
            return SECRET
        found = self.names.get(segment)
        for matches, matched in self.patterns:
            if matches(segment):
                found = matched if found is None else found | matched
        if found is not None:
            return found
        return (PLAIN, CARRIER, SECRET)[rule.undeclared]

    def redact(self, value: Any) -> Any:
        """A copy with every secret replaced by `***`; the value itself when the schema marks none."""
        return self._copy(value, None) if self.any else value

    def hidden(self, value: Any) -> list[Any]:
        """The scalars that `redact` masks."""
        found: list[Any] = []
        if self.any:
            self._copy(value, found)
        return found

    def _copy(self, value: Any, hidden: list[Any] | None) -> Any:
        top: list[Any] = [None]
        stack: list[tuple[Any, Any, Any, Rule]] = [(top, 0, value, self.root)]
        while stack:
            target, place, source, rule = stack.pop()
            if isinstance(source, dict) and not rule.secret:
                copy: Any = {}
                stack.extend((copy, key, child, self.below(rule, key)) for key, child in source.items())
                copy.update(dict.fromkeys(source))  # the order of the keys
            elif isinstance(source, list) and not rule.secret:
                copy = [None] * len(source)
                stack.extend((copy, i, child, rule) for i, child in enumerate(source))
            elif rule == PLAIN:
                copy = source
            else:
                copy = MASK
                if hidden is not None:
                    hidden.extend(scalars(source))
            target[place] = copy
        return top[0]


def scalars(value: Any) -> list[Any]:
    """What stands in a value, the keys of its objects included: of a masked object they are part of the
    secret.
    """
    found: list[Any] = []
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            found.extend(node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
        else:
            found.append(node)
    return found


NONE = Secrets(PLAIN, {}, ())


def marked(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("writeOnly") is True or schema.get("format") == "password")


def secret_keys(tree: Tree) -> list[Path]:
    """The `propertyNames` that make names secret: no name can be kept out of pointers and messages."""
    places = [node for each in tree.nodes.values() for node in each.inside(KEY)]
    return [node.path for node in places if any(marked(n.schema) for n in tree.closure(node, PLACE, DYNAMIC))]


def secrets_of(tree: Tree, matcher: Callable[[str], Callable[[str], bool]]) -> Secrets:
    """Find the rules of a schema. `matcher` makes the test of a `patternProperties` pattern, in the
    schema's own dialect.
    """
    start = [node for node in tree.nodes.values() if marked(node.schema)]
    if not start:
        return NONE
    search = _Search(tree, start)
    names: dict[str, Rule] = {}
    patterns: dict[str, Rule] = {}
    for node in tree.nodes.values():
        for segments, child in node.children.items():
            keyword, name = segments[0], str(segments[-1])
            if keyword in ("properties", "patternProperties"):
                into = names if keyword == "properties" else patterns
                into[name] = into.get(name, PLAIN) | search.rule(child)
    root = search.rule(tree.root)
    if not root.secret:
        # Something is marked, be it in a definition that nothing refers to: the root is never taken for
        # plain.
        root = replace(root, carrier=True, undeclared=max(root.undeclared, 0 if root.carrier else 2))
    return Secrets(root, names, tuple((matcher(pattern), rule) for pattern, rule in patterns.items()))


class _Search:
    """Three sets of nodes, each the closure of the marked ones against the direction of some edges."""

    def __init__(self, tree: Tree, start: Sequence[Node]) -> None:
        self._tree = tree
        self._secret = _upward(tree, start, {PLACE, DYNAMIC, ITEM})
        self._carrier = _upward(tree, start, {PLACE, DYNAMIC, ITEM, NAME, REST})
        opened = [n for n in tree.nodes.values() if any(c.path in self._secret for c in n.inside(REST))]
        members = _upward(tree, opened, {PLACE, DYNAMIC, ITEM})
        # A map of maps of secrets: the members of the outer one are masked whole.
        self._members = _upward(tree, [tree.nodes[path] for path in members], {PLACE, DYNAMIC, ITEM, REST})

    def rule(self, node: Node) -> Rule:
        if node.path not in self._carrier:
            return PLAIN
        if node.path in self._secret:
            return SECRET
        return Rule(members=node.path in self._members, carrier=True, undeclared=self._undeclared(node))

    def _undeclared(self, node: Node) -> int:
        rest = [
            child
            for each in self._tree.closure(node, PLACE, DYNAMIC, ITEM)
            for child in each.inside(REST)
            if child.schema is not False
        ]
        if not rest:
            return 2
        return int(any(child.path in self._carrier for child in rest))


def _upward(tree: Tree, start: Iterable[Node], relations: set[str]) -> set[Path]:
    above: dict[Path, list[Path]] = {}
    for node in tree.nodes.values():
        for relation, _, below in node.edges:
            if relation in relations:
                above.setdefault(below.path, []).append(node.path)
    seen = {node.path for node in start}
    stack = list(seen)
    while stack:
        for path in above.get(stack.pop(), ()):
            if path not in seen:
                seen.add(path)
                stack.append(path)
    return seen
