"""Nodes of a YAML document from the parser's events; scalars by the core schema of YAML 1.2.

Neither recursion nor aliases can blow it up: depth and the number of nodes, aliases expanded, are bounded.
"""

from __future__ import annotations

import math
import re
from typing import Any

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from engine.errors import DeclarationError, Problem

MAX_DEPTH = 100
MAX_NODES = 100_000

_CORE = "tag:yaml.org,2002:"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
# YAML 1.2.2, section 10.3.2.
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Node(Struct, eq=False):
    """A value and its place. A mapping's members carry the place of their key: `{key: (line, column, node)}`.

    `size` counts the nodes and `height` the levels of it, aliases expanded.
    """

    line: int
    column: int
    content: Any
    size: int = 1
    height: int = 0

    def plain(self) -> Any:
        """The value by itself; what an alias repeats is copied."""
        if isinstance(self.content, dict):
            return {key: node.plain() for key, (_, _, node) in self.content.items()}
        if isinstance(self.content, list):
            return [node.plain() for node in self.content]
        return self.content


class _Frame(Struct):
    node: Node
    anchor: str | None
    key: tuple[str, int, int] | None = None


class Composer:
    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()
        self._root: Node | None = None
        self._documents = 0

    def compose(self, text: str) -> Node | None:
        """The root, or None for a file without a document. Raises `DeclarationError` with every problem."""
        yaml = YAML(typ="safe", pure=True)
        try:
            for event in yaml.parse(text):
                self._take(event)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(filter(None, (error.context, error.problem)))
            self._problem(f"not YAML: {message}", mark)
        except YAMLError as error:
            self._problem(f"not YAML: {str(error).splitlines()[0]}", None)
        except ValueError:
            # ruamel.yaml converts escapes and directives itself: "\UFFFFFFFF" ends in chr().
            self._problem("not YAML: an escape or a directive that cannot be read", None)
        if self._problems:
            raise DeclarationError(self._problems)
        return self._root

    def _take(self, event: Any) -> None:
        mark = event.start_mark
        match event:
            case ScalarEvent():
                node = Node(mark.line + 1, mark.column + 1, event.value)
                if self._expects_key():
                    self._key(event, mark)
                    return
                node.content = self._scalar(event, mark)
                self._add(node, event.anchor)
            case MappingStartEvent() | SequenceStartEvent():
                self._begin(event, mark)
            case MappingEndEvent() | SequenceEndEvent():
                frame = self._frames.pop()
                self._open.discard(frame.anchor or "")
                self._add(frame.node, frame.anchor)
            case AliasEvent():
                self._alias(event, mark)
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._stop("the file holds more than one document", mark)
                if event.version is not None and tuple(event.version) != (1, 2):
                    self._stop("only YAML 1.2 is read", mark)

    def _begin(self, event: Any, mark: Any) -> None:
        mapping = isinstance(event, MappingStartEvent)
        if self._expects_key():
            self._stop("a key must be a string", mark)
        tag = event.tag
        if tag not in (None, "!", _CORE + ("map" if mapping else "seq")):
            self._problem(f"the tag {_name(tag)} is not read", mark)
        if len(self._frames) >= MAX_DEPTH:
            self._stop(f"nested deeper than {MAX_DEPTH} levels", mark)
        node = Node(mark.line + 1, mark.column + 1, {} if mapping else [])
        self._frames.append(_Frame(node, event.anchor))
        if event.anchor:
            self._open.add(event.anchor)

    def _alias(self, event: Any, mark: Any) -> None:
        if self._expects_key():
            self._stop("a key must be a string, not an alias", mark)
        node = self._anchors.get(event.anchor)
        if event.anchor in self._open or node is None:
            inside = event.anchor in self._open
            what = "repeats what it stands in" if inside else "repeats nothing that came before"
            self._problem(f"the alias *{event.anchor} {what}", mark)
            node = Node(mark.line + 1, mark.column + 1, None)
        self._add(node, None)

    def _expects_key(self) -> bool:
        frame = self._frames[-1] if self._frames else None
        return frame is not None and isinstance(frame.node.content, dict) and frame.key is None

    def _key(self, event: Any, mark: Any) -> None:
        """An integer is taken by its text, as in `{0: completed}`; what YAML reads as something else is
        refused.
        """
        text = event.value
        if event.anchor:
            self._anchors[event.anchor] = Node(mark.line + 1, mark.column + 1, text)
        value = self._scalar(event, mark)
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int)):
            self._problem(f'the key {text} is no string; write "{text}"', mark)
        elif text == "<<" and event.implicit[0]:
            self._problem("merge keys (<<) are no part of YAML 1.2; write the members out", mark)
        frame = self._frames[-1]
        if text in frame.node.content:
            line = frame.node.content[text][0]
            self._problem(f"the key {_name(text)} stands there twice, first in line {line}", mark)
        frame.key = (text, mark.line + 1, mark.column + 1)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._frames:
            self._root = node
            return
        frame = self._frames[-1]
        parent = frame.node
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if parent.size > MAX_NODES or len(self._frames) + node.height > MAX_DEPTH:
            place = Problem(
                f"aliases make more than {MAX_NODES} values or {MAX_DEPTH} levels of it",
                self._pointer(),
                self._file,
                parent.line,
                parent.column,
            )
            raise DeclarationError([*self._problems, place])
        if frame.key is not None:
            key, line, column = frame.key
            parent.content[key] = (line, column, node)
            frame.key = None
        else:
            parent.content.append(node)

    def _scalar(self, event: Any, mark: Any) -> Any:
        tag, text = event.tag, event.value
        if tag is None and not event.implicit[0]:
            return text
        if tag in ("!", _CORE + "str"):
            return text
        try:
            value = resolve(text)
        except ValueError as error:
            self._problem(str(error), mark)
            return text
        if tag is None or tag == _CORE + _TAGS[type(value)]:
            return value
        if tag == _CORE + "float" and type(value) is int:
            return float(value)
        self._problem(f"the tag {_name(tag)} is not read here", mark)
        return text

    def _pointer(self) -> str:
        parts = []
        for frame in self._frames:
            part = frame.key[0] if frame.key else str(len(frame.node.content))
            if frame.key or isinstance(frame.node.content, list):
                parts.append("/" + part.replace("~", "~0").replace("/", "~1"))
        return "".join(parts)

    def _problem(self, message: str, mark: Any) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (None, None)
        self._problems.append(Problem(message, self._pointer(), self._file, line, column))

    def _stop(self, message: str, mark: Any) -> None:
        self._problem(message, mark)
        raise DeclarationError(self._problems)


_TAGS = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}


def resolve(text: str) -> Any:
    """What a plain scalar is. Raises `ValueError` for a number that JSON does not have."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return int(text)  # a ValueError of its own for more than 4300 digits
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"the number {text[:40]} is too large")
        return number
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"{text} is no number that JSON has")
    return text


def _name(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:79] + "…").replace("'", '"')
