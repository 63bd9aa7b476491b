"""Lays rows out as text."""

from __future__ import annotations

__all__ = ["cells_of", "render", "totals"]

from collections.abc import Mapping, Sequence

from benchmarks.rows import Row, Verdict, number

_HEAD = ("measured", "min", "median", "runs", "goal", "")


def cells_of(row: Row) -> tuple[str, ...]:
    """Give a row's columns."""
    goal = row.goal.text(row.unit) if row.goal else ""
    if row.sample is None:
        return (row.what, "", "", "0", goal, f"not run: {row.missing}")
    least, median = (f"{number(value)}{row.unit}" for value in (row.sample.least, row.sample.median))
    return (row.what, least, median, str(len(row.sample.values)), goal, row.verdict.value)


def render(results: Mapping[str, Sequence[Row]]) -> str:
    """Give one table for all benchmarks, with their notes below it."""
    body = [(name, cells_of(row), row.note) for name, rows in results.items() for row in rows]
    widths = [max(len(cells[column]) for cells in (_HEAD, *(cells for _, cells, _ in body))) for column in range(5)]
    lines = [_line(_HEAD, widths), "-" * (sum(widths) + 2 * len(widths))]
    before = None
    for name, cells, note in body:
        if name != before:
            lines += ([""] if before else []) + [f"[{name}]"]
            before = name
        lines.append(_line(cells, widths))
        if note:
            lines.append(f"    {note}")
    return "\n".join(lines) + "\n"


def totals(results: Mapping[str, Sequence[Row]]) -> str:
    """Count the verdicts in one line; rows without a goal do not count."""
    found = [row.verdict for rows in results.values() for row in rows]
    kinds = (Verdict.MET, Verdict.MISSED, Verdict.NOT_RUN)
    return ", ".join(f"{found.count(kind)} {kind}" for kind in kinds)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = (cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
    right = [cell.strip().rjust(width) for cell, width in zip(numbers[:3], widths[1:4], strict=True)]
    return "  ".join((first, *right, numbers[3], cells[5])).rstrip()
