"""The job summary: GitHub-flavoured markdown that stays text whatever a build wrote into it."""

from __future__ import annotations

__all__ = ["escape", "markdown"]

import re
from collections.abc import Iterable

from pipeline.model import Status
from pipeline.report.record import CellRecord, CellState, RunReport
from pipeline.report.tally import engine_line, failed_tasks, findings, outcome, seconds_by_cell, state_of, tally
from pipeline.report.text import clean, count, seconds_text, size_text

_SIGNS = {
    CellState.PASSED: "✅ passed",
    CellState.UNPROVEN: "⚠️ unproven",
    CellState.FAILED: "❌ failed",
    CellState.NOT_RUN: "not run",
}
_SPECIAL = re.compile(r"([\\`*_\[\]|~#!$])")
_LIMIT = 500


def escape(text: str, limit: int = _LIMIT) -> str:
    """Make one line that GitHub shows as it is: no markup, no table cell, no link and no mention comes of it."""
    text = clean(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(r"\\\1", text)
    return text.replace("://", "&#58;//").replace("@", "&#64;").replace("www.", "www&#46;")


def markdown(report: RunReport, *, limit: int) -> str:
    """Write the summary in at most ``limit`` bytes; what does not fit is counted, not dropped in silence."""
    counts = tally(report)
    pieces = [
        (
            f"## llamatrix {escape(report.version)}: {outcome(report).value}\n\n"
            f"{counts.sentence}; {count(counts.left_out, 'combination')} left out by the matrix.  \n"
            f"Profile {escape(report.profile)}, engine {escape(engine_line(report))}, "
            f"{seconds_text(report.ended - report.started)} on {escape(report.machine)}.\n"
        )
    ]
    pieces += _matrices(report)
    pieces += _list("Failed tasks", ((task.id, task.message or "no message") for task in failed_tasks(report)))
    for status, title in (
        (Status.FAILED, "Failed gates"),
        (Status.SKIPPED, "Skipped gates: not proven"),
        (Status.WAIVED, "Waived gates: failed or skipped, and accepted for a while"),
    ):
        pieces += _list(
            title,
            (
                (
                    f"{found.cell} {found.verdict.gate}",
                    (found.verdict.reason or found.verdict.summary)
                    + (f" (until {found.verdict.until})" if found.verdict.until else ""),
                )
                for found in findings(report, status)
            ),
        )
    return _fit(pieces, limit)


def _matrices(report: RunReport) -> list[str]:
    """One table for each project, in pieces of a row each."""
    spent = seconds_by_cell(report)
    left = {cell for cell, _ in report.left_out}
    pieces: list[str] = []
    for project in dict.fromkeys(cell.project for cell in report.cells):
        cells = {(cell.platform, cell.variant): cell for cell in report.cells if cell.project == project}
        platforms = list(dict.fromkeys(platform for platform, _ in cells))
        variants = list(dict.fromkeys(variant for _, variant in cells))
        head = " | ".join(escape(platform) for platform in platforms)
        pieces.append(f"\n### {escape(project)}\n\n| | {head} |\n|---|{'---|' * len(platforms)}\n")
        for variant in variants:
            row = " | ".join(
                _entry(cells[platform, variant], spent)
                if (platform, variant) in cells
                else "left out"
                if f"{project}/{platform}/{variant}" in left
                else "not in this run"
                for platform in platforms
            )
            pieces.append(f"| **{escape(variant)}** | {row} |\n")
    return pieces


def _entry(cell: CellRecord, spent: dict[str, float]) -> str:
    facts = [_SIGNS[state_of(cell)], size_text(cell.size), seconds_text(spent.get(cell.id))]
    return "<br>".join(fact for fact in facts if fact)


def _list(title: str, items: Iterable[tuple[str, str]]) -> list[str]:
    pieces = [f"- **{escape(head)}**: {escape(body)}\n" for head, body in items]
    return [f"\n### {title}\n\n", *pieces] if pieces else []


def _fit(pieces: list[str], limit: int) -> str:
    """Keep whole pieces from the front, and say how many are missing."""
    sizes = [len(piece.encode("utf-8")) for piece in pieces]
    if sum(sizes) <= limit:
        return "".join(pieces)
    room = limit - len(_missing(len(pieces)).encode())
    kept: list[str] = []
    for piece, size in zip(pieces, sizes, strict=True):
        room -= size
        if room < 0:
            break
        kept.append(piece)
    note = _missing(len(pieces) - len(kept))
    return "".join([*kept, note]) if len(note.encode()) <= limit else ""


def _missing(number: int) -> str:
    return f"\n{count(number, 'line')} did not fit into this summary; report.html holds everything.\n"
