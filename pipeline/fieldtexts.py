"""The texts below the fields of records: Python throws them away, and the JSON Schemas show them."""

from __future__ import annotations

__all__ = ["field_texts"]

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


def field_texts(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """Read a module's source; give record, field and text, with runs of blanks made one."""
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    for record in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, text in zip(record.body, record.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                yield record.name, field.target.id, " ".join(text.value.value.split())
