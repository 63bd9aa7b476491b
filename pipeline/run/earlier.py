"""What earlier runs found on cells that this run was not asked for: the report covers the whole matrix."""

from __future__ import annotations

__all__ = ["Earlier", "earlier_cells"]

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import msgspec

from pipeline.model import TaskState, Verdict
from pipeline.plan.records import BundleWork, GateWork, Plan, Task
from pipeline.report.record import CellRecord, Material, TaskRecord
from pipeline.run.bundling import BundleFacts, is_placed, restore_bundle
from pipeline.run.context import RunContext
from pipeline.run.judging import archives, verdicts_from
from pipeline.run.materials import unique
from pipeline.run.outcome import cell_record


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """What earlier runs left: a record for each cell, and the materials these name."""

    cells: tuple[CellRecord, ...]
    materials: tuple[Material, ...]


def earlier_cells(context: RunContext, whole: Plan, selected: Collection[str]) -> Earlier:
    """Record every cell outside ``selected``, with the verdicts of an earlier run where they still hold.

    They hold when the content keys still lead to the same gate task, the archive in the store is the one it judged, and
    that very archive is in dist/, where one that failed a gate never is.
    """
    tasks = {task.id: task for task in whole.tasks}
    records = []
    materials: list[Material] = []
    for planned in whole.cells:
        if planned.cell.id in selected:
            continue
        gate = tasks.get(f"gate:{planned.cell.id}")
        facts, verdicts = _found(context, tasks, gate) if gate else (None, ())
        state = TaskState.CACHED if verdicts else TaskState.NOT_RUN
        ran = [TaskRecord(id=gate.id, kind=gate.kind, key=gate.key, state=state, cells=gate.cells)] if gate else []
        record = cell_record(planned, bundle=facts, verdicts=verdicts, tasks=ran)
        if planned.runnable and not verdicts:
            record = replace(record, reason="not asked for in this run")
        records.append(record)
        materials += facts.materials if facts else ()
    return Earlier(cells=tuple(records), materials=unique(materials))


def _found(
    context: RunContext, tasks: Mapping[str, Task], gate: Task
) -> tuple[BundleFacts | None, tuple[Verdict, ...]]:
    """Give the archive and the verdicts that still hold for it, or nothing. Damaged entries are nothing."""
    nothing: tuple[BundleFacts | None, tuple[Verdict, ...]] = (None, ())
    assert isinstance(gate.work, GateWork)
    entry = context.store.find(gate.kind, gate.key)
    if entry is None:
        return nothing
    try:
        for name in filter(None, (gate.work.bundle, gate.work.twin)):
            if not _restored(context, tasks[name]):
                return nothing
        verdicts = verdicts_from(entry.facts)
        if entry.facts.get("archives") != archives(context, gate.work):
            return nothing
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError):
        return nothing
    facts = context.result(gate.work.bundle, BundleFacts)
    if not entry.facts.get("failed") and not is_placed(facts.bundle, context.dist):
        return nothing
    return facts, verdicts


def _restored(context: RunContext, task: Task) -> bool:
    assert isinstance(task.work, BundleWork)
    found = context.store.find(task.kind, task.key)
    return found is not None and restore_bundle(context, task, task.work, found)
