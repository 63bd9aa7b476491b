"""Sizes and times that must be more than nothing: a limit of zero is a slip of the pen."""

from __future__ import annotations

__all__ = ["check_duration", "check_size"]

from typing import TYPE_CHECKING, TypeVar

from pipeline.matrix.spec import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.matrix.nodes import Path
    from pipeline.matrix.problems import Problems

_Number = TypeVar("_Number", int, float)
_LONGEST = 30
"""More characters than any real size or time has; longer ones may overflow."""


def check_duration(problems: Problems, path: Path, text: str) -> float | None:
    """Give seconds; None, and a problem, when the time is zero or cannot be counted."""
    return _check(problems, path, text, parse_duration, "a time")


def check_size(problems: Problems, path: Path, text: str) -> int | None:
    """Give bytes; None, and a problem, when the size is zero or cannot be counted."""
    return _check(problems, path, text, parse_size, "a size")


def _check(problems: Problems, path: Path, text: str, parse: Callable[[str], _Number], kind: str) -> _Number | None:
    try:
        number = parse(text) if len(text) <= _LONGEST else None
    except ValueError:  # the schema's pattern lets a final line break through
        number = None
    if number is None:
        problems.add(path, f"{text[:_LONGEST]!r} is not {kind}")
    elif not number:
        problems.add(path, f"{text!r} is {kind} of zero", hint="give a limit that something can keep")
    else:
        return number
    return None
