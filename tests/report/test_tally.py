from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.model import Status, TaskState, Verdict
from pipeline.report.record import CellState, RunReport
from pipeline.report.tally import (
    Outcome,
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
from tests.report.builders import report

RUN = report()
CPU = RUN.cells[0]


def _verdict(status: Status) -> Verdict:
    return Verdict(gate="size", status=status, summary="x", reason="y")


def _run(*states: CellState, tasks: tuple[TaskState, ...] = ()) -> RunReport:
    cells = []
    for at, state in enumerate(states):
        status = Status.SKIPPED if state is CellState.UNPROVEN else Status.PASSED
        given = () if state in {CellState.NOT_RUN, CellState.FAILED} else (_verdict(status),)
        cells.append(replace(CPU, id=f"a/b/{at}", state=state, verdicts=given))
    return replace(
        RUN, cells=tuple(cells), tasks=tuple(replace(RUN.tasks[2], id=f"t{at}", state=s) for at, s in enumerate(tasks))
    )


def test_every_count_is_exact() -> None:
    assert tally(RUN).sentence == "2 passed (1 with a waiver), 1 unproven, 1 failed, 22 not run"
    assert tally(RUN).left_out == len(RUN.left_out)


@pytest.mark.parametrize(
    ("recorded", "statuses", "shown"),
    [
        (CellState.PASSED, [Status.PASSED], CellState.PASSED),
        (CellState.PASSED, [Status.PASSED, Status.WAIVED], CellState.PASSED),
        (CellState.PASSED, [Status.PASSED, Status.SKIPPED], CellState.UNPROVEN),
        (CellState.PASSED, [], CellState.UNPROVEN),
        (CellState.PASSED, [Status.SKIPPED, Status.FAILED], CellState.FAILED),
        (CellState.UNPROVEN, [Status.PASSED], CellState.UNPROVEN),
        (CellState.FAILED, [], CellState.FAILED),
        (CellState.NOT_RUN, [], CellState.NOT_RUN),
        (CellState.NOT_RUN, [Status.FAILED], CellState.FAILED),
    ],
)
def test_a_cell_is_never_shown_better_than_its_verdicts(
    recorded: CellState, statuses: list[Status], shown: CellState
) -> None:
    assert state_of(replace(CPU, state=recorded, verdicts=tuple(map(_verdict, statuses)))) is shown


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (_run(CellState.PASSED), Outcome.ALL_PASSED),
        (_run(CellState.PASSED, CellState.NOT_RUN), Outcome.PARTLY),
        (_run(CellState.PASSED, CellState.UNPROVEN), Outcome.UNPROVEN),
        (_run(CellState.NOT_RUN), Outcome.NOTHING),
        (_run(), Outcome.NOTHING),
        (_run(CellState.PASSED, tasks=(TaskState.CANCELLED,)), Outcome.CUT_SHORT),
        (_run(CellState.PASSED, tasks=(TaskState.FAILED, TaskState.CANCELLED)), Outcome.FAILED),
        (_run(CellState.PASSED, CellState.FAILED), Outcome.FAILED),
    ],
)
def test_the_outcome_is_the_worst_there_is(run: RunReport, expected: Outcome) -> None:
    assert outcome(run) is expected


def test_findings_keep_the_order_of_the_matrix() -> None:
    assert [(found.cell, found.verdict.gate) for found in findings(RUN, Status.SKIPPED)] == [
        ("llama.cpp/linux-x86_64/vulkan", "smoke"),
        ("llama.cpp/linux-x86_64/vulkan", "repro"),
        ("llama.cpp/linux-x86_64/all", "repro"),
    ]
    assert [task.id for task in failed_tasks(RUN)] == ["gate:llama.cpp/linux-x86_64/all"]


def test_cached_work_costs_no_time() -> None:
    task = RUN.tasks[2]
    run = replace(RUN, tasks=(task, replace(task, id="c", state=TaskState.CACHED), replace(task, id="n", started=None)))

    assert seconds_by_cell(run)[CPU.id] == seconds_of(task)
    assert slowest(run.tasks, 10) == (task,)


def test_a_clock_that_went_back_gives_no_negative_time() -> None:
    assert seconds_of(replace(RUN.tasks[2], started=10.0, ended=5.0)) == 0.0


def test_the_slowest_come_first() -> None:
    found = slowest(RUN.tasks, 3)

    assert [task.id.partition(":")[0] for task in found] == ["gate", "gate", "core"]


def test_the_engine_is_named_once() -> None:
    run = replace(RUN, engine="docker", engine_reason="docker: engine 20.10 answers")

    assert engine_line(run) == "docker: engine 20.10 answers"
    assert engine_line(replace(run, engine_reason="it answers")) == "docker: it answers"
    assert engine_line(replace(run, engine_reason="")) == "docker"
