"""Finds every place where a document does not have the shape that ``spec.py`` asks for.

``msgspec.convert`` decides whether the shape is right, but it stops at the first mistake and leaves the names of
mapping keys out of its paths. This walk over the same types says what is wrong in words, and where.
"""

from __future__ import annotations

__all__ = ["find_problems"]

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import inspect

from pipeline.matrix import spec
from pipeline.matrix.problems import listing, nearest, unknown

if TYPE_CHECKING:
    from pipeline.matrix.document import Document
    from pipeline.matrix.nodes import Node, Path
    from pipeline.matrix.problems import Problems

_LABELS: dict[type, str] = {
    spec.AbiGate: "an abi gate",
    spec.Axes: "the axes",
    spec.BackendGate: "a backend gate",
    spec.Cells: "the settings of cells",
    spec.ClosureGate: "a closure gate",
    spec.Component: "a component",
    spec.DriverFloor: "a driver floor",
    spec.EnvironmentRule: "an environment rule",
    spec.Exclude: "an exclude",
    spec.Gates: "the gates",
    spec.Image: "an image",
    spec.LicencesGate: "a licences gate",
    spec.MatrixFile: "a matrix",
    spec.Mirror: "a mirror",
    spec.Override: "an override",
    spec.Platform: "a platform",
    spec.Profile: "a profile",
    spec.Project: "a project",
    spec.Release: "the release section",
    spec.ReproGate: "a repro gate",
    spec.Revoked: "a revoked archive",
    spec.SizeGate: "a size gate",
    spec.SmokeGate: "a smoke gate",
    spec.Source: "a source",
    spec.TestProgram: "a test program",
    spec.TestsGate: "a tests gate",
    spec.Toolchain: "a toolchain",
    spec.VariantLine: "a variant",
    spec.VariantRequires: "what a variant requires",
    spec.Waiver: "a waiver",
}
_MOST_SHOWN = 60


def find_problems(document: Document, record: type[msgspec.Struct], problems: Problems) -> None:
    """Add a problem for each place where ``document`` cannot become a ``record``."""
    _Walk(problems).value(document.root, inspect.type_info(record), (), "the file")


def _found(node: Node) -> str:
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value if len(value) <= _MOST_SHOWN else value[:_MOST_SHOWN] + '...'!r}"
    return f"the {'boolean' if isinstance(value, bool) else 'number'} {node.text}"


def _split(kind: inspect.Type) -> tuple[inspect.Type, str | None, bool]:
    """Give the type without its wrappers, its description, and whether it may be null."""
    description, optional = None, False
    while True:
        if isinstance(kind, inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", description)
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            optional = optional or any(isinstance(part, inspect.NoneType) for part in kind.types)
            (kind,) = (part for part in kind.types if not isinstance(part, inspect.NoneType))
        else:
            return kind, description, optional


class _Walk:
    """One walk; ``name`` is what the messages call the value at hand."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def value(self, node: Node, kind: inspect.Type, path: Path, name: str) -> None:
        kind, description, optional = _split(kind)
        if node.value is None and optional:
            return
        if isinstance(kind, inspect.StructType):
            self._struct(node, kind, path, name)
        elif isinstance(kind, inspect.DictType):
            self._dict(node, kind, path, name)
        elif isinstance(kind, inspect.VarTupleType):
            self._list(node, kind, path, name)
        elif isinstance(kind, inspect.LiteralType):
            self._literal(node, kind, path, name)
        elif isinstance(kind, inspect.StrType):
            self._text(node, kind, path, name, description)
        elif isinstance(kind, inspect.IntType):
            self._number(node, kind, path, name)
        elif isinstance(kind, inspect.BoolType):
            if not isinstance(node.value, bool):
                self._expected(node, path, name, "true or false")
        else:
            msg = f"spec.py uses a type this walk does not know: {kind!r}"
            raise TypeError(msg)

    def _expected(self, node: Node, path: Path, name: str, expected: str, hint: str | None = None) -> None:
        self._problems.add(path, f"{name}: expected {expected}, found {_found(node)}", hint=hint)

    def _struct(self, node: Node, kind: inspect.StructType, path: Path, name: str) -> None:
        label = _LABELS.get(kind.cls, kind.cls.__name__)
        fields = {field.encode_name: field for field in kind.fields}
        if not isinstance(node.value, dict):
            self._expected(node, path, name, f"a mapping with the keys of {label} ({listing(fields)})")
            return
        for key, entry in node.entries.items():
            if key in fields:
                self.value(entry.node, fields[key].type, (*path, key), f"{key!r} of {label}")
            else:
                self._problems.add((*path, key), unknown("key", key, fields, place=f" in {label}"), key=True)
        # A key that was misspelt is not missing as well.
        meant = {nearest(key, fields) for key in node.entries if key not in fields}
        there = node.entries.keys() | meant
        missing = [key for key, field in fields.items() if field.required and key not in there]
        if missing:
            quoted = ", ".join(repr(key) for key in missing)
            keys = "missing key" if len(missing) == 1 else "missing keys"
            hint = f"{label} needs: {listing(key for key, field in fields.items() if field.required)}"
            self._problems.add(path, f"{name}: {keys} {quoted} in {label}", hint=hint)

    def _dict(self, node: Node, kind: inspect.DictType, path: Path, name: str) -> None:
        if not isinstance(node.value, dict):
            self._expected(node, path, name, "a mapping")
            return
        for key, entry in node.entries.items():
            if isinstance(kind.key_type, inspect.LiteralType):
                if key not in kind.key_type.values:
                    allowed = [str(value) for value in kind.key_type.values]
                    self._problems.add((*path, key), unknown("key", key, allowed, place=f" in {name}"), key=True)
            elif not key:
                self._problems.add((*path, key), f"{name}: a key must not be empty", key=True)
            self.value(entry.node, kind.value_type, (*path, key), f"{key!r}")

    def _list(self, node: Node, kind: inspect.VarTupleType, path: Path, name: str) -> None:
        if not isinstance(node.value, list):
            hint = f"write [{node.text}]" if node.text else None
            self._expected(node, path, name, "a list", hint)
            return
        for index, item in enumerate(node.items):
            self.value(item, kind.item_type, (*path, index), f"item {index + 1} of {name}")

    def _literal(self, node: Node, kind: inspect.LiteralType, path: Path, name: str) -> None:
        # bool is an int to Python, never to us
        if any(type(node.value) is type(value) and node.value == value for value in kind.values):
            return
        allowed = [str(value) for value in kind.values]
        if isinstance(node.value, str) and all(isinstance(value, str) for value in kind.values):
            self._problems.add(path, unknown("value", node.value, allowed, place=f" for {name}"))
        else:
            self._expected(node, path, name, listing(allowed) if len(allowed) == 1 else f"one of {listing(allowed)}")

    def _text(self, node: Node, kind: inspect.StrType, path: Path, name: str, description: str | None) -> None:
        value = node.value
        if not isinstance(value, str):
            hint = f'write it in quotes: "{node.text}"' if isinstance(value, bool | int | float) else None
            self._expected(node, path, name, description or "text", hint)
        elif kind.pattern is not None and not re.search(kind.pattern, value):
            self._expected(node, path, name, description or f"text like {kind.pattern}")
        elif kind.min_length is not None and len(value) < kind.min_length:
            self._expected(node, path, name, description or "text that is not empty")

    def _number(self, node: Node, kind: inspect.IntType, path: Path, name: str) -> None:
        value = node.value
        low, high = kind.ge, kind.le
        bounds = "" if low is None or high is None else f" from {low} to {high}"
        if (
            isinstance(value, bool)
            or not isinstance(value, int)
            or (low is not None and value < low)
            or (high is not None and value > high)
        ):
            hint = "remove the quotes" if isinstance(value, str) and value.isdecimal() else None
            self._expected(node, path, name, f"a whole number{bounds}", hint)
