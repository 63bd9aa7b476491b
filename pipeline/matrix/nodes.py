"""The values of a YAML file, each with the place where it stands."""

from __future__ import annotations

__all__ = ["Entry", "Node", "Path"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Where a value stands: keys and list indexes from the top, for example ``("exclude", 0, "cells")``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One key of a mapping with its own position and its value."""

    line: int
    column: int
    node: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A value with its position, 1-based. ``text`` is a scalar as written, ``plain`` when it has no quotes.

    ``size`` counts the values inside with every alias expanded and ``height`` their nesting.
    """

    value: object
    line: int
    column: int
    text: str = ""
    plain: bool = False
    entries: Mapping[str, Entry] = field(default_factory=dict)
    items: tuple[Node, ...] = ()
    size: int = 1
    height: int = 1
