"""Picks cells by glob, the way ``--only`` does, and explains every pattern that picks none."""

from __future__ import annotations

__all__ = ["PLATFORM_ALIASES", "compile_glob", "normalise_platform", "select"]

import difflib
from typing import TYPE_CHECKING

from pipeline.errors import SelectionError
from pipeline.matrix.globs import PARTS, compile_glob, compile_parts
from pipeline.matrix.problems import did_you_mean, listing, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.matrix.cells import LeftOut

PLATFORM_ALIASES = {
    "linux-amd64": "linux-x86_64",
    "linux-arm64": "linux-aarch64",
    "darwin-amd64": "darwin-x86_64",
    "darwin-aarch64": "darwin-arm64",
}
"""Names accepted on input and never written."""

_SPELLINGS = {name: alias for alias, name in PLATFORM_ALIASES.items()}
_WHERE = "--only"


def normalise_platform(name: str) -> str:
    """Give the name we write for a platform: ``linux-amd64`` is ``linux-x86_64``."""
    return PLATFORM_ALIASES.get(name, name)


def select(patterns: Iterable[str], ids: Iterable[str], *, left_out: Iterable[LeftOut] = ()) -> tuple[str, ...]:
    """Give the ids that any of ``patterns`` matches, in the order of ``ids``; no pattern at all means every id.

    A platform also answers to its aliases. ``left_out`` makes the message better when a pattern picks only cells that
    do not exist.

    Raises:
        SelectionError: a pattern is impossible, or matches nothing.
    """
    known = tuple(ids)
    wanted = list(dict.fromkeys(patterns))
    if not wanted:
        return known
    spellings = [(cell, _spellings(cell)) for cell in known]
    chosen: set[str] = set()
    for pattern in wanted:
        try:
            match = compile_glob(pattern).match
        except ValueError as error:
            msg = f"{pattern!r} is not a glob over cell ids: {error}{_completion(pattern, known)}"
            raise SelectionError(msg, where=_WHERE, hint="for example --only 'llama.cpp/linux-x86_64/*'") from None
        found = {cell for cell, names in spellings if any(match(name) for name in names)}
        if not found:
            raise _nothing(pattern, known, left_out)
        chosen |= found
    return tuple(cell for cell in known if cell in chosen)


def _spellings(cell: str) -> tuple[str, ...]:
    project, platform, variant = cell.split("/")
    alias = _SPELLINGS.get(platform)
    return (cell,) if alias is None else (cell, f"{project}/{alias}/{variant}")


def _matches(pattern: str, ids: Iterable[str]) -> bool:
    try:
        match = compile_glob(pattern).match
    except ValueError:
        return False
    return any(match(name) for cell in ids for name in _spellings(cell))


def _completion(pattern: str, ids: Sequence[str]) -> str:
    """Suggest a whole glob for a part of one, such as ``*/*/vulkan`` for ``vulkan``."""
    short = pattern.strip("/")
    candidates = {
        0: (f"*/*/{short}", f"*/{short}/*", f"{short}/*/*"),
        1: (f"*/{short}", f"{short}/*"),
    }
    for candidate in candidates.get(short.count("/"), (short,)):
        if candidate != pattern and _matches(candidate, ids):
            return f"; did you mean {candidate!r}?"
    return ""


def _nothing(pattern: str, ids: Sequence[str], left_out: Iterable[LeftOut]) -> SelectionError:
    match = compile_glob(pattern).match
    absent = [cell for cell in left_out if any(match(name) for name in _spellings(cell.id))]
    if absent:
        first = absent[0]
        msg = f"{pattern!r} matches only cells that do not exist: {first.id}: {first.reason} ({first.where})"
        return SelectionError(one_line(msg), where=_WHERE, hint="'plan' lists every cell, and every one left out")
    axes = zip(
        PARTS,
        pattern.split("/"),
        compile_parts(pattern),
        zip(*(cell.split("/") for cell in ids), strict=True),
        strict=False,
    )
    for name, text, expression, column in axes:
        values = dict.fromkeys(column)
        spelled = [*values, *(_SPELLINGS[value] for value in values if name == "platform" and value in _SPELLINGS)]
        if not any(expression.match(value) for value in spelled):
            msg = f"no {name} matches {text!r}{did_you_mean(text, values)}"
            return SelectionError(msg, where=_WHERE, hint=f"known: {listing(values)}")
    close = difflib.get_close_matches(pattern, ids, n=1)
    suggestion = f"; did you mean {close[0]!r}?" if close else ""
    msg = f"{pattern!r} matches no cell{suggestion}"
    return SelectionError(msg, where=_WHERE, hint="'plan' lists every cell, and every one left out")
