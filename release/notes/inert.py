"""Text that stays text in GitHub's Markdown, whoever wrote it.

A backslash or an entity is undone before GitHub looks for mentions and references, so neither keeps ``@name`` or
``owner/repo#1`` from becoming a link. A code span does: nothing inside it is markup, a link, a mention or HTML.
Text of plain words needs none and is left readable.
"""

from __future__ import annotations

__all__ = ["cell", "code", "inert"]

import re

from pipeline.report.text import clean

_LIMIT = 400
_PLAIN = re.compile(r"[A-Za-z0-9 ,.;:()'%+=/-]*", re.ASCII)
# What GitHub turns into something else without any markup: addresses, host names, its own short references, commit
# ids, names of emoji.
_TURNED = re.compile(r"(?i):/|//|\bwww\.|\bGH-\d|\b[0-9a-f]{7,}\b|\b(?:mailto|xmpp):|:[a-z0-9+-]+:", re.ASCII)
_TICKS = re.compile(r"`+")
_BREAKS_CELL = str.maketrans({"|": "\N{BROKEN BAR}"})


def cell(text: str, limit: int = _LIMIT) -> str:
    """Make text for a table's cell, where a bar would end it even inside a code span."""
    return inert(text.translate(_BREAKS_CELL), limit)


def inert(text: str, limit: int = _LIMIT) -> str:
    """Make one line that is shown as it is; anything but plain words goes into a code span."""
    line = clean(text, limit)
    if _PLAIN.fullmatch(line) and not _TURNED.search(line):
        return line
    return _span(line)


def code(text: str, limit: int = _LIMIT) -> str:
    """Make one line in a code span whatever it is, for ids and names; nothing for nothing."""
    line = clean(text, limit)
    return _span(line) if line else ""


def _span(line: str) -> str:
    fence = "`" * (max((len(run) for run in _TICKS.findall(line)), default=0) + 1)
    # One blank at each end is taken off again by the reader, and keeps a backtick off the fence.
    return f"{fence} {line} {fence}" if line.startswith("`") or line.endswith("`") else f"{fence}{line}{fence}"
