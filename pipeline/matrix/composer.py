"""Builds the nodes of a YAML file from parser events, refusing what other YAML readers would read differently.

Only what means the same to every reader gets through: text, decimal numbers, true and false, null, lists and mappings,
and anchors for whole values. PyYAML's own composer is not used, so that the limits act while reading: an alias that
would blow the document up is refused before anything is expanded.
"""

from __future__ import annotations

__all__ = ["MAX_DEPTH", "MAX_NODES", "compose", "refuse"]

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from yaml.resolver import Resolver

from pipeline.errors import MatrixError
from pipeline.matrix.nodes import Entry, Node
from pipeline.matrix.problems import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NODES = 200_000
MAX_DEPTH = 50
_MAX_DIGITS = 18

_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER = Resolver()
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9]\d*)", re.ASCII)
_FRACTION = re.compile(r"[-+]?\d+\.\d+(?:[eE][-+]?\d+)?", re.ASCII)
_TAG = "tag:yaml.org,2002:"
_TAG_NAMES = {"timestamp": "a date", "merge": "a merge key", "value": "a default value key"}
_PLAIN_NUMBER = "write a plain decimal number, or put it in quotes if it is text"


def compose(text: str, *, name: str) -> Node:
    """Build the one document of ``text``; ``name`` is the file name used in messages.

    Raises:
        MatrixError: it is not YAML, or YAML that we refuse; ``where`` says where.
    """
    return _Composer(name, text).document()


def refuse(name: str, line: int, column: int, what: str, hint: str | None = None) -> NoReturn:
    """Raise the error for one place of a file."""
    raise MatrixError(one_line(what), where=f"{name}:{line}:{column}", hint=hint)


def _place(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


class _Composer:
    """Builds nodes from events; one instance reads one document."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._events: Iterator[Event] = iter(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def document(self) -> Node:
        self._next()  # the stream starts
        if not isinstance(self._next(), DocumentStartEvent):
            refuse(self._name, 1, 1, "the file is empty", "a matrix starts with 'schema: 1'")
        root = self._node(self._next(), 1)
        self._next()  # the document ends
        after = self._next()
        if isinstance(after, DocumentStartEvent):
            self._fail(after, "a second document starts here", "keep one document per file: remove the '---'")
        return root

    def _next(self) -> Event:
        try:
            return next(self._events)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            parts = [getattr(error, "problem", None) or str(error), getattr(error, "context", None)]
            what = " ".join(" ".join(part.split()) for part in parts if part)
            refuse(self._name, line, column, f"not valid YAML: {what}", "the mistake may be a line or two further up")

    def _fail(self, event: Event, what: str, hint: str | None = None) -> NoReturn:
        refuse(self._name, *_place(event), what, hint)

    def _node(self, event: Event, depth: int) -> Node:
        if isinstance(event, AliasEvent):
            return self._alias(event, depth)
        assert isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent)
        self._spend(event, 1, depth)
        if event.tag is not None:
            what = f"the tag '{str(event.tag).replace(_TAG, '!!')}' is not supported"
            self._fail(event, what, "remove the tag; quotes make text of anything")
        anchor = event.anchor
        if anchor is not None:
            if anchor in self._anchors:
                self._fail(event, f"the anchor '&{anchor}' is used twice", "give each anchor its own name")
            self._anchors[anchor] = None
        if isinstance(event, MappingStartEvent):
            node = self._mapping(event, depth)
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._scalar(event)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: AliasEvent, depth: int) -> Node:
        name = str(event.anchor)
        if name not in self._anchors:
            what = f"nothing is anchored as '&{name}' above this line"
            self._fail(event, what, "put the anchor before its first use, or quotes around text that starts with *")
        target = self._anchors[name]
        if target is None:
            self._fail(event, f"'*{name}' stands inside its own anchor", "write the value out")
        self._spend(event, target.size, depth + target.height - 1)
        line, column = _place(event)
        return replace(target, line=line, column=column)

    def _spend(self, event: Event, size: int, depth: int) -> None:
        self._count += size
        if self._count > MAX_NODES:
            self._fail(event, f"more than {MAX_NODES} values with every alias expanded", "use fewer aliases")
        if depth > MAX_DEPTH:
            self._fail(event, f"nested more than {MAX_DEPTH} levels deep", "a matrix needs about eight levels")

    def _sequence(self, event: SequenceStartEvent, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(following := self._next(), SequenceEndEvent):
            items.append(self._node(following, depth + 1))
        line, column = _place(event)
        return Node(
            value=[item.value for item in items],
            line=line,
            column=column,
            items=tuple(items),
            size=1 + sum(item.size for item in items),
            height=1 + max((item.height for item in items), default=0),
        )

    def _mapping(self, event: MappingStartEvent, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        while not isinstance(following := self._next(), MappingEndEvent):
            key = self._key(following, depth + 1)
            if key in entries:
                what = f"the key {key!r} stands here twice, first in line {entries[key].line}"
                self._fail(following, what, "keep one of them")
            line, column = _place(following)
            entries[key] = Entry(line=line, column=column, node=self._node(self._next(), depth + 1))
        nodes = [entry.node for entry in entries.values()]
        line, column = _place(event)
        return Node(
            value={key: entry.node.value for key, entry in entries.items()},
            line=line,
            column=column,
            entries=entries,
            size=1 + len(nodes) + sum(node.size for node in nodes),
            height=1 + max((node.height for node in nodes), default=0),
        )

    def _key(self, event: Event, depth: int) -> str:
        if not isinstance(event, ScalarEvent):
            self._fail(event, "a key must be text", "lists, mappings and aliases cannot be keys")
        if event.tag is None and not event.style and event.value == "<<":
            hint = "write the keys out, or use an anchor for the whole value"
            self._fail(event, "merge keys are not supported", hint)
        key = self._node(event, depth).value
        if not isinstance(key, str):
            what = f"a key must be text, but YAML reads {event.value!r} as something else"
            self._fail(event, what, "put the key in quotes")
        return key

    def _scalar(self, event: ScalarEvent) -> Node:
        plain = event.implicit[0]
        line, column = _place(event)
        value = self._resolve(event) if plain else event.value
        return Node(value=value, line=line, column=column, text=event.value, plain=plain)

    def _resolve(self, event: ScalarEvent) -> str | float | bool | None:
        """Read an unquoted scalar, refusing what another YAML version or another reader would read differently."""
        text: str = event.value
        tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        kind = tag.removeprefix(_TAG)
        shown = repr(text[:60])
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            if text not in {"true", "false"}:
                what = f"{shown} is a boolean in some versions of YAML and text in others"
                self._fail(event, what, f'write true or false, or "{text}" in quotes if it is text')
            return text == "true"
        if kind == "int":
            if not _DECIMAL.fullmatch(text) or len(text) > _MAX_DIGITS:
                what = f"YAML may read {shown} as another number (octal, hexadecimal, base 60, or too long)"
                self._fail(event, what, _PLAIN_NUMBER)
            return int(text)
        if kind != "float":
            self._fail(event, f"YAML reads {shown} as {_TAG_NAMES.get(kind, kind)}", "put it in quotes")
        number = float(text) if _FRACTION.fullmatch(text) else math.nan
        if not math.isfinite(number):
            self._fail(event, f"YAML may read {shown} as a number that it does not look like", _PLAIN_NUMBER)
        return number
