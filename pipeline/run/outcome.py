"""What became of a cell: one state from its tasks and verdicts, and the reason in one line."""

from __future__ import annotations

__all__ = ["cell_record"]

from collections.abc import Sequence

from pipeline.model import Status, TaskState, Verdict
from pipeline.plan.records import PlannedCell
from pipeline.report.record import CellRecord, CellState, TaskRecord
from pipeline.run.bundling import BundleFacts

_BROKEN = {TaskState.FAILED, TaskState.BLOCKED}


def cell_record(
    planned: PlannedCell, *, bundle: BundleFacts | None, verdicts: tuple[Verdict, ...], tasks: Sequence[TaskRecord]
) -> CellRecord:
    """Sum up one cell. Only a cell whose every declared gate passed, or is waived, is called passed."""
    state, reason = _state(planned, verdicts, tasks)
    made = bundle.bundle if bundle else None
    return CellRecord(
        id=planned.cell.id,
        project=planned.cell.project,
        platform=planned.cell.platform,
        variant=planned.cell.variant,
        state=state,
        reason=reason,
        asset=planned.asset,
        size=made.size if made else None,
        unpacked_size=made.unpacked_size if made else None,
        sha256=made.sha256 if made else None,
        verdicts=verdicts,
        materials=tuple(material.id for material in bundle.materials) if bundle else (),
    )


def _state(
    planned: PlannedCell, verdicts: tuple[Verdict, ...], tasks: Sequence[TaskRecord]
) -> tuple[CellState, str | None]:
    if not planned.runnable:
        return CellState.NOT_RUN, planned.reason
    bad = [verdict for verdict in verdicts if verdict.status is Status.FAILED]
    if bad:
        return CellState.FAILED, "; ".join(f"{verdict.gate}: {verdict.summary}" for verdict in bad)
    broken = [task for task in tasks if task.state in _BROKEN]
    if broken:
        first = next((task for task in broken if task.state is TaskState.FAILED), broken[0])
        return CellState.FAILED, f"{first.id}: {(first.message or 'failed').splitlines()[0]}"
    if not verdicts:
        return CellState.NOT_RUN, "the run was stopped before its gates"
    skipped = [verdict for verdict in verdicts if verdict.status is Status.SKIPPED]
    if skipped:
        return CellState.UNPROVEN, "; ".join(f"{verdict.gate} skipped: {verdict.reason}" for verdict in skipped)
    return CellState.PASSED, None
