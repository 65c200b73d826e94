"""A schema document as a tree of subschemas, with every reference resolved inside the document. Fetches
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from engine.errors import Problem
from engine.schema.keywords import DYNAMIC, LISTS, MAPS, PLACE, REFERENCES, SINGLE
from engine.schema.shown import pointer, quoted

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Node:
    """One subschema. `edges` lead to the subschemas below it and to those it refers to: (relation, name,
    node).
    """

    path: Path
    schema: Any
    base: str
    edges: list[tuple[str, str, Node]] = field(default_factory=list, repr=False)
    children: dict[Path, Node] = field(default_factory=dict, repr=False)
    references: dict[str, Node] = field(default_factory=dict, repr=False)

    def child(self, *segments: str | int) -> Node:
        return self.children[segments]

    def inside(self, *relations: str) -> Iterator[Node]:
        return (node for relation, _, node in self.edges if relation in relations)


class Tree:
    """The subschemas of one document. `problems` holds the references that lead nowhere or outside."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.nodes: dict[Path, Node] = {}
        self.problems: list[tuple[Path, str]] = []
        self._resources: dict[str, Path] = {"": ()}
        self._anchors: dict[tuple[str, str], Path] = {}
        self._dynamic: dict[str, list[Path]] = {}
        self._pending: list[tuple[Node, str, str]] = []
        self._grow((), document, "")
        # A reference may lead to a place that no keyword makes a schema (below an `x-` keyword): it is one
        # then.
        while self._pending:
            self._refer(*self._pending.pop())
        self.root = self.nodes[()]

    def _grow(self, path: Path, schema: Any, base: str) -> Node:
        top = Node(path, schema, base)
        stack = [top]
        while stack:
            node = stack.pop()
            self.nodes[node.path] = node
            if not isinstance(node.schema, dict):
                continue
            self._name(node)
            for relation, name, segments, value in _subschemas(node.schema):
                below = Node((*node.path, *segments), value, node.base)
                node.edges.append((relation, name, below))
                node.children[segments] = below
                stack.append(below)
            for keyword in REFERENCES:
                if isinstance(reference := node.schema.get(keyword), str):
                    self._pending.append((node, keyword, reference))
        return top

    def _name(self, node: Node) -> None:
        schema = node.schema
        if isinstance(own := schema.get("$id"), str):
            node.base = urldefrag(urljoin(node.base, own))[0]
            if self._resources.setdefault(node.base, node.path) != node.path:
                self._twice(node, "$id", own)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := schema.get(keyword), str):
                if self._anchors.setdefault((node.base, anchor), node.path) != node.path:
                    self._twice(node, keyword, anchor)
                if keyword == "$dynamicAnchor":
                    self._dynamic.setdefault(anchor, []).append(node.path)

    def _twice(self, node: Node, keyword: str, name: str) -> None:
        self.problems.append(((*node.path, keyword), f"{quoted(name)} stands there more than once"))

    def _refer(self, node: Node, keyword: str, reference: str) -> None:
        found = self._resolve(node.base, reference)
        if isinstance(found, str):
            self.problems.append(((*node.path, keyword), found))
            return
        target = self._at(found, node)
        node.references[keyword] = target
        node.edges.append((PLACE, keyword, target))
        if keyword == "$dynamicRef":
            # Which of them it is depends on the way that led here: all count where a secret is looked for.
            name = urldefrag(reference)[1]
            node.edges.extend((DYNAMIC, keyword, self.nodes[path]) for path in self._dynamic.get(name, ()))

    def _at(self, path: Path, referrer: Node) -> Node:
        if path not in self.nodes:
            self._grow(path, look_up(self.document, path), referrer.base)
        return self.nodes[path]

    def _resolve(self, base: str, reference: str) -> Path | str:
        whole = base + reference if reference.startswith("#") else urljoin(base, reference)
        uri, fragment = urldefrag(whole)
        if uri not in self._resources:
            return f"{quoted(reference)} leads out of the document; nothing is fetched, copy it into $defs"
        start = self._resources[uri]
        fragment = unquote(fragment)
        if not fragment:
            return start
        if not fragment.startswith("/"):
            anchored = self._anchors.get((uri, fragment))
            return anchored if anchored is not None else f"{quoted(reference)}: there is no such $anchor"
        path = _follow(look_up(self.document, start), fragment)
        return (*start, *path) if path is not None else f"{quoted(reference)}: there is nothing at that place"

    def closure(self, start: Node, *relations: str) -> list[Node]:
        """The nodes that edges of these relations reach from `start`, itself first."""
        seen = {start.path: start}
        stack = [start]
        while stack:
            for node in stack.pop().inside(*relations):
                if node.path not in seen:
                    seen[node.path] = node
                    stack.append(node)
        return list(seen.values())

    def circles(self) -> Iterator[Node]:
        """Subschemas that come back to themselves on the same value, so that judging it would never end."""
        state: dict[Path, int] = {}
        for first in self.nodes.values():
            if first.path in state:
                continue
            state[first.path] = 1
            stack = [(first, first.inside(PLACE))]
            while stack:
                node, below = stack[-1]
                following = next(below, None)
                if following is None:
                    state[node.path] = 2
                    stack.pop()
                elif state.get(following.path) == 1:
                    yield following
                elif following.path not in state:
                    state[following.path] = 1
                    stack.append((following, following.inside(PLACE)))


def _subschemas(schema: dict[str, Any]) -> Iterator[tuple[str, str, Path, Any]]:
    for keyword, value in schema.items():
        if keyword in SINGLE:
            yield SINGLE[keyword], keyword, (keyword,), value
        elif keyword in LISTS and isinstance(value, list):
            for i, item in enumerate(value):
                yield LISTS[keyword], keyword, (keyword, i), item
        elif keyword in MAPS and isinstance(value, dict):
            for name, member in value.items():
                yield MAPS[keyword], name, (keyword, name), member


def look_up(document: Any, path: Path) -> Any:
    for segment in path:
        document = document[segment]
    return document


def _follow(value: Any, fragment: str) -> Path | None:
    path: list[str | int] = []
    for part in fragment.split("/")[1:]:
        segment: str | int = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and isinstance(segment, str) and segment.isdecimal():
            segment = int(segment)
        try:
            value = value[segment]
        except (KeyError, IndexError, TypeError):
            return None
        path.append(segment)
    return tuple(path)


def problems_of(tree: Tree) -> list[Problem]:
    found = [Problem(message, pointer(path)) for path, message in tree.problems]
    found.extend(
        Problem("refers to itself without going deeper into the value, so that judging it would never end", p)
        for p in dict.fromkeys(pointer(node.path) for node in tree.circles())
    )
    return found
