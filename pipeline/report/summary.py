"""The final table for terminals and logs, with exact counts and everything that failed or was not proven."""

from __future__ import annotations

__all__ = ["Line", "Tone", "summary", "summary_text"]

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.cells import cell_len

from pipeline.model import Status
from pipeline.report.record import CellRecord, CellState, RunReport
from pipeline.report.tally import failed_tasks, findings, outcome, seconds_by_cell, state_of, tally
from pipeline.report.text import UNICODE, Glyphs, clean, count, pad, seconds_text, shorten, size_text, wrap

_HEADS = ("PROJECT", "PLATFORM", "VARIANT", "VERDICT", "SIZE", "TIME", "NOTE")
_NUMBERS = (4, 5)
_GAP = 2
_NOTE_MIN = 16
_NOTE_MAX = 400
_NARROWEST = 20


class Tone(StrEnum):
    """What a line is about, for front ends that have colours."""

    PLAIN = "plain"
    HEAD = "head"
    QUIET = "quiet"
    PASSED = "passed"
    UNPROVEN = "unproven"
    FAILED = "failed"
    WAIVED = "waived"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the summary."""

    text: str
    tone: Tone = Tone.PLAIN


_TONES = {
    CellState.PASSED: Tone.PASSED,
    CellState.UNPROVEN: Tone.UNPROVEN,
    CellState.FAILED: Tone.FAILED,
    CellState.NOT_RUN: Tone.QUIET,
}


def _note(cell: CellRecord) -> str:
    """Say why a cell is not simply passed, in the words of its verdicts where it has some."""
    named: dict[Status, list[str]] = {}
    for verdict in cell.verdicts:
        named.setdefault(verdict.status, []).append(verdict.gate)
    parts = [
        f"{status.value}: {', '.join(named[status])}"
        for status in (Status.FAILED, Status.SKIPPED, Status.WAIVED)
        if status in named
    ]
    if cell.reason and Status.FAILED not in named and Status.SKIPPED not in named:
        parts.insert(0, cell.reason)
    if not parts and not cell.verdicts and state_of(cell) is CellState.UNPROVEN:
        parts.append("no gate looked at it")
    return clean("; ".join(parts), _NOTE_MAX)


def _row(cell: CellRecord, seconds: float | None) -> tuple[str, ...]:
    return (
        clean(cell.project),
        clean(cell.platform),
        clean(cell.variant),
        state_of(cell).value,
        size_text(cell.size),
        seconds_text(seconds),
        _note(cell),
    )


def _table(rows: list[tuple[tuple[str, ...], Tone]], width: int, glyphs: Glyphs) -> list[Line]:
    """Lay rows out in columns, or one under the other where the columns do not fit."""
    widths = [max(cell_len(cells[column]) for cells, _ in [(_HEADS, None), *rows]) for column in range(len(_HEADS) - 1)]
    fixed = sum(widths) + _GAP * len(widths)
    room = width - fixed
    if room < _NOTE_MIN:
        return _stack(rows, width, glyphs)
    lines: list[Line] = []
    gap = " " * _GAP
    for cells, tone in [(_HEADS, Tone.HEAD), *rows]:
        columns = [pad(cells[at], widths[at], right=at in _NUMBERS) for at in range(len(widths))]
        notes = wrap(cells[-1], room)
        lines.append(Line(text=gap.join([*columns, notes[0]]).rstrip(), tone=tone))
        lines.extend(Line(text=" " * fixed + note, tone=tone) for note in notes[1:])
        if cells is _HEADS:
            lines.append(Line(text=glyphs.rule * min(width, fixed + _NOTE_MIN), tone=Tone.QUIET))
    return lines


def _stack(rows: list[tuple[tuple[str, ...], Tone]], width: int, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    for cells, tone in rows:
        name = "/".join(cells[:3])
        lines.append(Line(text=shorten(name, width, ellipsis=glyphs.ellipsis, middle=True), tone=tone))
        facts = f" {glyphs.dot} ".join(cell for cell in cells[3:6] if cell)
        lines.extend(Line(text=f"  {part}", tone=tone) for part in wrap(facts, width - 2))
        lines.extend(Line(text=f"  {part}") for part in wrap(cells[6], width - 2) if part)
    return lines


def _section(title: str, items: Iterable[tuple[str, str]], tone: Tone, width: int) -> list[Line]:
    """List ``head: body`` entries under a title; nothing at all for no entries."""
    lines: list[Line] = []
    for head, body in items:
        wrapped = wrap(f"{head}: {body}" if body else head, width - 4)
        lines.append(Line(text=f"  {wrapped[0]}", tone=tone))
        lines.extend(Line(text=f"    {part}", tone=tone) for part in wrapped[1:])
    heads = [Line(text=part, tone=Tone.HEAD) for part in wrap(title, width)]
    return [Line(text=""), *heads, *lines] if lines else []


def _not_run(cells: list[CellRecord]) -> list[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for cell in cells:
        groups.setdefault(clean(cell.reason or "no reason was recorded", _NOTE_MAX), []).append(clean(cell.id))
    return [(f"{reason} ({len(ids)})", ", ".join(ids)) for reason, ids in groups.items()]


def summary(report: RunReport, *, width: int = 100, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """Lay the end of a run out for ``width`` columns."""
    width = max(width, _NARROWEST)
    counts = tally(report)
    spent = seconds_by_cell(report)
    lines: list[Line] = []
    rows = [
        (_row(cell, spent.get(cell.id)), _TONES[state_of(cell)])
        for cell in report.cells
        if state_of(cell) is not CellState.NOT_RUN
    ]
    if rows:
        lines += _table(rows, width, glyphs)
    broken = [(clean(task.id), clean(task.message or "no message", _NOTE_MAX)) for task in failed_tasks(report)]
    lines += _section("Failed tasks", broken, Tone.FAILED, width)
    for status, title, tone in (
        (Status.FAILED, "Failed gates", Tone.FAILED),
        (Status.SKIPPED, "Skipped gates: not proven", Tone.UNPROVEN),
        (Status.WAIVED, "Waived gates: failed or skipped, and accepted for a while", Tone.WAIVED),
    ):
        found = [
            (
                clean(f"{finding.cell} {finding.verdict.gate}"),
                clean(_why(finding.verdict.reason or finding.verdict.summary, finding.verdict.until), _NOTE_MAX),
            )
            for finding in findings(report, status)
        ]
        lines += _section(title, found, tone, width)
    idle = [cell for cell in report.cells if state_of(cell) is CellState.NOT_RUN]
    lines += _section("Not run", _not_run(idle), Tone.QUIET, width)
    verdict = outcome(report)
    tone = Tone.FAILED if counts.failed else Tone.UNPROVEN if counts.unproven else Tone.PLAIN
    ending = f"{verdict.value}: {counts.sentence}; {count(counts.left_out, 'combination')} left out by the matrix"
    if lines:
        lines.append(Line(text=""))
    lines += [Line(text=part, tone=tone) for part in wrap(ending, width)]
    where = f"{report.version} ({report.profile}, {report.engine}) in {seconds_text(report.ended - report.started)}"
    lines += [Line(text=part, tone=Tone.QUIET) for part in wrap(clean(where), width)]
    return tuple(lines)


def _why(reason: str, until: str | None) -> str:
    return f"{reason} (until {until})" if until else reason


def summary_text(report: RunReport, *, width: int = 100, glyphs: Glyphs = UNICODE) -> str:
    """Give the summary as text, one line feed after each line."""
    return "".join(f"{line.text}\n" for line in summary(report, width=width, glyphs=glyphs))
