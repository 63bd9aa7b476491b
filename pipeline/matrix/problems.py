"""Collects what is wrong with a matrix, each with its place, so that the first one in the file is told first."""

from __future__ import annotations

__all__ = ["Problems", "did_you_mean", "listing", "nearest", "one_line", "unknown"]

import difflib
from typing import TYPE_CHECKING

from pipeline.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.matrix.document import Document
    from pipeline.matrix.nodes import Path

_MOST_LISTED = 24
_MOST_KEPT = 200
_MOST_PLACES = 5
_MOST_SHOWN = 80
_SHORTEST_PART = 3
_LONGEST = 1000


def one_line(text: str) -> str:
    """Make text from a file fit for a message: no line breaks or control characters, and never endless."""
    shown = "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}..."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known name that was probably meant, if any."""
    wanted = word[:_MOST_SHOWN].lower()
    lowered = {name.lower(): name for name in reversed(list(known))}
    close = difflib.get_close_matches(wanted, lowered, n=1, cutoff=0.6)
    if not close and len(wanted) >= _SHORTEST_PART:
        close = [name for name in lowered if wanted in name]
    return lowered[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``; did you mean 'x'?`` when something known is close to ``word``, else nothing."""
    name = nearest(word, known)
    return f"; did you mean {name!r}?" if name is not None else ""


def listing(known: Iterable[str]) -> str:
    """List names for a message: sorted, without repeats, and never endless."""
    names = sorted(set(known))
    if not names:
        return "none"
    shown = ", ".join(names[:_MOST_LISTED])
    return f"{shown} and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else shown


def unknown(kind: str, word: str, known: Iterable[str], *, place: str = "") -> str:
    """Say that ``word`` is not one of ``known``, with the nearest one and all of them."""
    names = list(known)
    shown = word if len(word) <= _MOST_SHOWN else f"{word[:_MOST_SHOWN]}..."
    suggestion = did_you_mean(word, names)
    return f"unknown {kind} {shown!r}{place}{suggestion or ';'} allowed: {listing(names)}"


class Problems:
    """What is wrong with one document."""

    def __init__(self, document: Document) -> None:
        """Start with nothing wrong."""
        self._document = document
        self._found: dict[tuple[int, int, str], str | None] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is wrong."""
        return bool(self._found)

    def add(self, path: Path, what: str, *, hint: str | None = None, key: bool = False) -> None:
        """Keep a problem with the value at ``path``, or with the key it ends in."""
        line, column = self._document.key_position(path) if key else self._document.position(path)
        if len(self._found) < _MOST_KEPT:
            self._found.setdefault((line, column, one_line(what)), one_line(hint) if hint is not None else None)

    def errors(self) -> tuple[MatrixError, ...]:
        """Give every problem as an error of its own, in the file's order."""
        return tuple(
            MatrixError(what, where=f"{self._document.name}:{line}:{column}", hint=hint)
            for (line, column, what), hint in sorted(self._found.items(), key=lambda item: item[0][:2])
        )

    def check(self) -> None:
        """Raise the first problem in the file; its hint says where the others are.

        Raises:
            MatrixError: something is wrong.
        """
        errors = self.errors()
        if not errors:
            return
        first, *others = errors
        if not others:
            raise first
        places = [str(error.where) for error in others[:_MOST_PLACES]]
        more = f"{len(others)} more after this one: {', '.join(places)}{' ...' if len(others) > len(places) else ''}"
        raise MatrixError(first.what, where=first.where, hint=f"{first.hint}; {more}" if first.hint else more)
