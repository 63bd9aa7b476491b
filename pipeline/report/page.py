"""Works out what report.html shows, before any markup.

A big run is told with less detail rather than with a page no browser likes: ``Density`` says how much.
"""

from __future__ import annotations

__all__ = ["at_least", "build_page"]

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from pipeline.model import Status, TaskState, Verdict
from pipeline.report.record import CellRecord, CellState, RunReport, TaskRecord
from pipeline.report.tally import (
    engine_line,
    failed_tasks,
    findings,
    outcome,
    seconds_by_cell,
    seconds_of,
    slowest,
    state_of,
    tally,
)
from pipeline.report.text import clean, count, seconds_text, size_text
from pipeline.report.view import Bar, CellView, Density, GateRow, Grid, Link, Note, Page, Slot

_SLOWEST = 10
_ANCHOR = re.compile(r"[A-Za-z0-9._/-]{1,120}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Limits:
    text: int
    details: int
    measured: int
    bars: int
    findings: int
    feet: int
    note: int
    told: frozenset[Status]
    """Verdicts that get a row; the gates of the others are named only."""


_ALL = frozenset(Status)
_OPEN = _ALL - {Status.PASSED}
_LIMITS = {
    Density.FULL: _Limits(text=2000, details=40, measured=40, bars=300, findings=100, feet=50, note=160, told=_ALL),
    Density.COMPACT: _Limits(text=240, details=5, measured=0, bars=200, findings=50, feet=20, note=80, told=_OPEN),
    Density.MINIMAL: _Limits(text=100, details=0, measured=0, bars=100, findings=30, feet=10, note=40, told=_OPEN),
    Density.BARE: _Limits(text=60, details=0, measured=0, bars=50, findings=30, feet=5, note=20, told=frozenset()),
}


def _link(log: str | None) -> Link | None:
    """Link into the report's folder and nowhere else: a path from a damaged report must not lead a reader away."""
    if log is None:
        return None
    parts = log.split("/")
    safe = not _SCHEME.match(log) and "\\" not in log and all(part not in {"", ".", ".."} for part in parts)
    text = clean(log.removeprefix("logs/").removesuffix(".log"), 200)
    return Link(text=text or "log", href="./" + quote(log, errors="replace") if safe else None)


class _Builder:
    def __init__(self, report: RunReport, density: Density) -> None:
        self.report = report
        self.density = density
        self.limits = _LIMITS[density]
        self.spent = seconds_by_cell(report)
        self.anchors: dict[str, str] = {}
        for at, cell in enumerate(report.cells):
            if self.shown(cell):
                usual = _ANCHOR.fullmatch(cell.id) and cell.id not in self.anchors
                self.anchors.setdefault(cell.id, cell.id if usual else f"cell-{at}")

    @staticmethod
    def shown(cell: CellRecord) -> bool:
        return state_of(cell) is not CellState.NOT_RUN or bool(cell.verdicts or cell.asset)

    def text(self, text: str | None) -> str:
        return clean(text or "", self.limits.text)

    def slot(self, cell: CellRecord | None, left: str | None, feet: list[str]) -> Slot:
        if cell is None:
            if left is None:
                return Slot(state="")
            return Slot(state="left out", foot=self.foot(left, feet))
        state = state_of(cell)
        if cell.id not in self.anchors:
            return Slot(state=state.value, foot=self.foot(cell.reason or "no reason was recorded", feet))
        note = ""
        if state is CellState.FAILED:
            note = ", ".join(v.gate for v in cell.verdicts if v.status is Status.FAILED) or (cell.reason or "")
        elif state is CellState.UNPROVEN:
            note = ", ".join(v.gate for v in cell.verdicts if v.status is Status.SKIPPED)
        elif state is CellState.PASSED:
            waived = [v.gate for v in cell.verdicts if v.status is Status.WAIVED]
            note = f"waived: {', '.join(waived)}" if waived else ""
        return Slot(
            state=state.value,
            size=size_text(cell.size),
            time=seconds_text(self.spent.get(cell.id)),
            note=clean(note, self.limits.note),
            anchor=self.anchors.get(cell.id),
        )

    def foot(self, reason: str, feet: list[str]) -> int:
        text = self.text(reason)
        if text not in feet:
            if len(feet) >= self.limits.feet:
                return 0
            feet.append(text)
        return feet.index(text) + 1

    def grids(self) -> tuple[Grid, ...]:
        left = dict(self.report.left_out)
        names = [tuple(cell.split("/")) for cell in left]
        triples = [(cell.project, cell.platform, cell.variant) for cell in self.report.cells]
        triples += [name for name in names if len(name) == 3]  # noqa: PLR2004 - project, platform, variant
        cells = {(cell.project, cell.platform, cell.variant): cell for cell in self.report.cells}
        grids = []
        for project in dict.fromkeys(triple[0] for triple in triples):
            own = [triple for triple in triples if triple[0] == project]
            platforms = tuple(dict.fromkeys(triple[1] for triple in own))
            variants = tuple(dict.fromkeys(triple[2] for triple in own))
            feet: list[str] = []
            rows = tuple(
                (
                    platform,
                    tuple(
                        self.slot(
                            cells.get((project, platform, variant)),
                            left.get(f"{project}/{platform}/{variant}"),
                            feet,
                        )
                        for variant in variants
                    ),
                )
                for platform in platforms
            )
            grids.append(Grid(project=project, variants=variants, rows=rows, feet=tuple(feet)))
        return tuple(grids)

    def gate(self, verdict: Verdict) -> GateRow:
        details = [self.text(line) for line in verdict.details[: self.limits.details]]
        lost = len(verdict.details) - len(details)
        if lost:
            details.append(f"{count(lost, 'more line')} in report.json")
        numbers = [
            (clean(name, 80), clean(json.dumps(value, ensure_ascii=False, default=str).strip('"'), 160))
            for name, value in sorted(verdict.measured.items())[: self.limits.measured]
        ]
        skip = verdict.status is Status.SKIPPED and verdict.reason
        summary = verdict.reason if skip else verdict.summary  # the verdict says "skipped" already
        reason = verdict.reason if verdict.reason and verdict.reason not in (summary or "") else ""
        return GateRow(
            gate=verdict.gate,
            status=verdict.status.value,
            summary=self.text(summary),
            reason=self.text(reason),
            until=verdict.until or "",
            details=tuple(details),
            measured=tuple(numbers),
            time=seconds_text(verdict.seconds) if verdict.seconds else "",
        )

    def cell(self, cell: CellRecord, tasks: Iterable[TaskRecord]) -> CellView:
        told = [v for v in cell.verdicts if v.status in self.limits.told]
        quiet: dict[Status, list[str]] = {}
        for verdict in cell.verdicts:
            if verdict.status not in self.limits.told:
                quiet.setdefault(verdict.status, []).append(verdict.gate)
        links = [_link(task.log) for task in tasks] if self.density is Density.FULL else []
        return CellView(
            anchor=self.anchors[cell.id],
            id=cell.id,
            state=state_of(cell).value,
            reason=self.text(cell.reason),
            asset=self.text(cell.asset),
            size=size_text(cell.size),
            unpacked=size_text(cell.unpacked_size),
            sha256=cell.sha256 or "",
            time=seconds_text(self.spent.get(cell.id)),
            gates=tuple(self.gate(verdict) for verdict in told),
            named=tuple((status.value, clean(", ".join(gates), 160)) for status, gates in quiet.items()),
            logs=tuple(link for link in links if link is not None),
        )

    def notes(self, status: Status) -> tuple[Note, ...]:
        return tuple(
            Note(
                where=found.cell,
                what=found.verdict.gate,
                why=self.text(
                    (found.verdict.reason or found.verdict.summary)
                    + (f" (until {found.verdict.until})" if found.verdict.until else "")
                ),
                anchor=self.anchors.get(found.cell),
            )
            for found in findings(self.report, status)
        )

    def bar(self, task: TaskRecord, begin: float, whole: float) -> Bar:
        spent = seconds_of(task) or 0.0
        at = max(0.0, (task.started or begin) - begin)
        return Bar(
            task=task.id,
            kind=task.kind.value,
            state=task.state.value,
            time="" if task.state is TaskState.CACHED else seconds_text(spent),
            deadline=seconds_text(task.deadline),
            begin=round(min(at / whole * 1000, 994.0), 1),
            length=round(max(spent / whole * 1000, 5.0), 1),
            since=seconds_text(at) if at else "0s",
            log=_link(task.log),
        )


def _grouped(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    groups: dict[str, list[str]] = {}
    for cell, reason in pairs:
        groups.setdefault(reason, []).append(cell)
    return tuple((reason, tuple(cells)) for reason, cells in groups.items())


def _when(epoch: float) -> str:
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"


def at_least(report: RunReport, density: Density) -> int:
    """Give a number of characters the page will surely exceed, without making it."""
    limits = _LIMITS[density]
    return sum(
        60
        + min(len(verdict.summary), limits.text)
        + sum(len(x[: limits.text]) for x in verdict.details[: limits.details])
        for cell in report.cells
        for verdict in cell.verdicts
        if verdict.status in limits.told
    )


def build_page(report: RunReport, density: Density) -> Page:
    """Work out everything the template shows, at one density."""
    builder = _Builder(report, density)
    limits = builder.limits
    by_cell: dict[str, list[TaskRecord]] = {}
    for task in report.tasks:
        for cell in task.cells:
            by_cell.setdefault(cell, []).append(task)
    ran = [task for task in report.tasks if task.started is not None and task.ended is not None]
    begin = min([report.started, *(task.started or report.started for task in ran)])
    end = max([report.ended, *(task.ended or report.ended for task in ran)])
    whole = max(end - begin, 0.001)
    drawn = set(map(id, sorted(ran, key=lambda task: -(seconds_of(task) or 0.0))[: limits.bars]))
    bars = sorted((task for task in ran if id(task) in drawn), key=lambda task: (task.started or 0.0, task.id))
    notes = {status: builder.notes(status) for status in (Status.FAILED, Status.SKIPPED, Status.WAIVED)}
    broken = tuple(
        Note(where=task.id, what=task.kind.value, why=builder.text(task.message or "no message"), log=_link(task.log))
        for task in failed_tasks(report)
    )
    lists = {"broken": broken, **{status.value: found for status, found in notes.items()}}
    return Page(
        report=report,
        density=density,
        outcome=outcome(report),
        tally=tally(report),
        started=_when(report.started),
        wall=seconds_text(report.ended - report.started),
        facts=(
            ("Profile", report.profile),
            ("Engine", engine_line(report)),
            ("Machine", report.machine),
            ("Started", _when(report.started)),
            ("Wall time", seconds_text(report.ended - report.started)),
        ),
        grids=builder.grids(),
        broken=broken[: limits.findings],
        failed=notes[Status.FAILED][: limits.findings],
        skipped=notes[Status.SKIPPED][: limits.findings],
        waived=notes[Status.WAIVED][: limits.findings],
        more={name: max(0, len(found) - limits.findings) for name, found in lists.items()},
        cells=tuple(builder.cell(cell, by_cell.get(cell.id, ())) for cell in report.cells if builder.shown(cell)),
        idle=_grouped(
            (cell.id, builder.text(cell.reason or "no reason was recorded"))
            for cell in report.cells
            if not builder.shown(cell)
        ),
        left_out=_grouped((cell, builder.text(reason)) for cell, reason in report.left_out),
        bars=tuple(builder.bar(task, begin, whole) for task in bars),
        undrawn=len(ran) - len(bars),
        ticks=tuple(seconds_text(whole * share) if share else "0" for share in (0, 0.25, 0.5, 0.75)),
        slowest=tuple(builder.bar(task, begin, whole) for task in slowest(report.tasks, _SLOWEST)),
    )
