"""What earlier runs found on cells that this run was not asked for: the report covers the whole matrix."""

from __future__ import annotations

__all__ = ["earlier_cells"]

from collections.abc import Collection
from dataclasses import replace

from pipeline.model import TaskKind, TaskState, Verdict
from pipeline.plan.records import Plan
from pipeline.report.record import CellRecord, TaskRecord
from pipeline.run.bundling import BundleFacts
from pipeline.run.context import RunContext
from pipeline.run.judging import verdicts_from
from pipeline.run.outcome import cell_record


def earlier_cells(context: RunContext, whole: Plan, selected: Collection[str]) -> tuple[CellRecord, ...]:
    """Record every cell outside ``selected``, with the verdicts of an earlier run where they still hold.

    They hold when the content keys still lead to the same gate task and the archive is still in dist/.
    """
    tasks = {task.id: task for task in whole.tasks}
    records = []
    for planned in whole.cells:
        if planned.cell.id in selected:
            continue
        gate = tasks.get(f"gate:{planned.cell.id}")
        bundle = tasks.get(f"bundle:{planned.cell.id}@{whole.engine}")
        entry = context.store.find(TaskKind.GATE, gate.key) if gate else None
        found = context.store.find(TaskKind.BUNDLE, bundle.key) if bundle else None
        verdicts: tuple[Verdict, ...] = ()
        facts: BundleFacts | None = None
        if entry and found and (context.dist / planned.asset).is_file():
            verdicts = verdicts_from(entry.facts)
            facts = BundleFacts.read(found, planned.asset)
        state = TaskState.CACHED if verdicts else TaskState.NOT_RUN
        ran = [TaskRecord(id=gate.id, kind=gate.kind, key=gate.key, state=state, cells=gate.cells)] if gate else []
        record = cell_record(planned, bundle=facts, verdicts=verdicts, tasks=ran)
        if planned.runnable and not verdicts:
            record = replace(record, reason="not asked for in this run")
        records.append(record)
    return tuple(records)
