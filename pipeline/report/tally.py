"""What a run comes to: counts, findings and times, worked out once for every front end.

A cell is never shown better than its verdicts allow, whatever state was recorded for it: the front ends ask
``state_of``, not the record.
"""

from __future__ import annotations

__all__ = [
    "Finding",
    "Outcome",
    "Tally",
    "engine_line",
    "failed_tasks",
    "findings",
    "outcome",
    "seconds_by_cell",
    "seconds_of",
    "slowest",
    "state_of",
    "tally",
]

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pipeline.model import Status, TaskState, Verdict
from pipeline.report.record import CellRecord, CellState, RunReport, TaskRecord


class Outcome(StrEnum):
    """The whole run in a few words; only ``ALL_PASSED`` means that nothing is left to ask."""

    FAILED = "failed"
    CUT_SHORT = "cut short"
    NOTHING = "nothing was built"
    UNPROVEN = "not fully proven"
    PARTLY = "no failures, but not everything was built"
    ALL_PASSED = "everything passed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Exact counts; ``waived`` are the passed cells that needed a waiver."""

    passed: int
    unproven: int
    failed: int
    not_run: int
    left_out: int
    waived: int

    @property
    def sentence(self) -> str:
        """Every count, the zeros too: ``3 passed, 1 unproven, 0 failed, 40 not run``."""
        waived = f" ({self.waived} with a waiver)" if self.waived else ""
        return f"{self.passed} passed{waived}, {self.unproven} unproven, {self.failed} failed, {self.not_run} not run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One verdict with the cell it was given on."""

    cell: str
    verdict: Verdict


def state_of(cell: CellRecord) -> CellState:
    """Give the worse of what was recorded and what the verdicts say."""
    statuses = {verdict.status for verdict in cell.verdicts}
    if cell.state is CellState.FAILED or Status.FAILED in statuses:
        return CellState.FAILED
    if cell.state is CellState.PASSED and (Status.SKIPPED in statuses or not statuses):
        return CellState.UNPROVEN
    return cell.state


def tally(report: RunReport) -> Tally:
    """Count the cells by what became of them."""
    states = [state_of(cell) for cell in report.cells]
    waived = sum(
        state is CellState.PASSED and any(verdict.status is Status.WAIVED for verdict in cell.verdicts)
        for state, cell in zip(states, report.cells, strict=True)
    )
    return Tally(
        passed=states.count(CellState.PASSED),
        unproven=states.count(CellState.UNPROVEN),
        failed=states.count(CellState.FAILED),
        not_run=states.count(CellState.NOT_RUN),
        left_out=len(report.left_out),
        waived=waived,
    )


def outcome(report: RunReport) -> Outcome:
    """Say what the run comes to, the worst first."""
    counts = tally(report)
    states = {task.state for task in report.tasks}
    if counts.failed or TaskState.FAILED in states:
        return Outcome.FAILED
    if TaskState.CANCELLED in states:
        return Outcome.CUT_SHORT
    if not counts.passed and not counts.unproven:
        return Outcome.NOTHING
    if counts.unproven:
        return Outcome.UNPROVEN
    return Outcome.PARTLY if counts.not_run else Outcome.ALL_PASSED


def findings(report: RunReport, status: Status) -> tuple[Finding, ...]:
    """Collect every verdict of one status, in the order of the matrix."""
    return tuple(
        Finding(cell=cell.id, verdict=verdict)
        for cell in report.cells
        for verdict in cell.verdicts
        if verdict.status is status
    )


def failed_tasks(report: RunReport) -> tuple[TaskRecord, ...]:
    """Collect the tasks that failed themselves; blocked ones only follow from them."""
    return tuple(task for task in report.tasks if task.state is TaskState.FAILED)


def seconds_of(task: TaskRecord) -> float | None:
    """Give the wall time a task took in this run; None for what did not run."""
    if task.started is None or task.ended is None:
        return None
    return max(task.ended - task.started, 0.0)


def seconds_by_cell(report: RunReport) -> dict[str, float]:
    """Add up the work of this run for each cell; a shared component counts in every cell that uses it."""
    totals: dict[str, float] = {}
    for task in report.tasks:
        spent = seconds_of(task)
        if spent is None or task.state is TaskState.CACHED:
            continue
        for cell in task.cells:
            totals[cell] = totals.get(cell, 0.0) + spent
    return totals


def slowest(tasks: Iterable[TaskRecord], number: int) -> tuple[TaskRecord, ...]:
    """Give the tasks that took longest; what came from the cache took nothing."""
    ran = [task for task in tasks if seconds_of(task) is not None and task.state is not TaskState.CACHED]
    return tuple(sorted(ran, key=lambda task: (-(seconds_of(task) or 0.0), task.id))[:number])


def engine_line(report: RunReport) -> str:
    """Name the engine and why it was taken, each once: the reason mostly begins with the name."""
    if report.engine_reason.startswith(f"{report.engine}:") or not report.engine_reason:
        return report.engine_reason or report.engine
    return f"{report.engine}: {report.engine_reason}"
