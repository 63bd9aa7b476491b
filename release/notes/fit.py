"""Parts of a text that must not grow beyond a limit: rows go from the least important part first, and are counted."""

from __future__ import annotations

__all__ = ["Part", "fit"]

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.text import count

_FULL = "manifest.json holds them all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A heading with what belongs under it. Only ``rows`` may be cut; the lower ``worth`` is, the sooner."""

    head: str
    rows: tuple[str, ...] = ()
    worth: int = 0
    noun: str = "line"

    def text(self, kept: int) -> str:
        """Write the part with so many of its rows."""
        left = len(self.rows) - kept
        note = f"\n{count(left, self.noun)} did not fit here; {_FULL}.\n" if left else ""
        return "".join([self.head, *self.rows[:kept], note])


def fit(parts: Sequence[Part], limit: int) -> str:
    """Join the parts in at most ``limit`` characters.

    Raises:
        ValueError: It does not fit even without any row.
    """
    kept = [len(part.rows) for part in parts]
    for at in sorted(range(len(parts)), key=lambda at: parts[at].worth):
        over = _length(parts, kept) - limit
        if over <= 0:
            break
        kept[at] = _fewer(parts[at], over)
    if _length(parts, kept) > limit:
        msg = f"the text cannot be made to fit into {limit} characters"
        raise ValueError(msg)
    return _joined(parts, kept)


def _fewer(part: Part, over: int) -> int:
    """Give how many rows may stay so that the part becomes ``over`` characters shorter, or as short as it can be."""
    whole = len(part.text(len(part.rows)))
    low, high = 0, len(part.rows) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if len(part.text(middle)) <= whole - over:
            low = middle
        else:
            high = middle - 1
    # The note takes room too: for a few short rows cutting gains nothing.
    return low if len(part.text(low)) < whole else len(part.rows)


def _length(parts: Sequence[Part], kept: Sequence[int]) -> int:
    return len(_joined(parts, kept))


def _joined(parts: Sequence[Part], kept: Sequence[int]) -> str:
    return "\n".join(part.text(rows) for part, rows in zip(parts, kept, strict=True))
