"""Whole runs on the fake engine: what is done, what is not done twice, and what is said of it."""

from __future__ import annotations

import datetime
from pathlib import Path

from pipeline.engines.base import Ending
from pipeline.model import Status, TaskKind, TaskState
from pipeline.report.record import CellState, RunReport
from pipeline.report.tally import tally
from pipeline.run.bundling import BundleFacts
from tests.matrix.builders import MATRIX
from tests.run.builders import Rig

CPU = "llama.cpp/linux-x86_64/cpu"
VULKAN = "llama.cpp/linux-x86_64/vulkan"
CORE = "core:llama.cpp/linux-x86_64/core@fake"
BACKEND = "backend:llama.cpp/linux-x86_64/vulkan@fake"


def _states(report: RunReport) -> dict[str, str]:
    return {task.id: task.state for task in report.tasks}


def _cells(report: RunReport) -> dict[str, str]:
    return {cell.id: cell.state for cell in report.cells}


def test_a_run_makes_every_planned_asset_and_judges_it(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)

    report = rig.run()

    assert set(_states(report).values()) == {"done"}
    assert sorted(path.name for path in (tmp_path / "dist").glob("*.tar.zst")) == sorted(rig.plan().assets)
    for cell in report.cells:
        verdicts = {verdict.gate: verdict.status for verdict in cell.verdicts}
        assert verdicts["backend"] is Status.PASSED, cell.verdicts
        assert verdicts["abi"] is Status.PASSED
        # Forged programs cannot run, so the cell is unproven: a skip is not a pass.
        assert verdicts["smoke"] is Status.SKIPPED
        assert cell.state is CellState.UNPROVEN
        assert cell.size == (tmp_path / "dist" / (cell.asset or "")).stat().st_size


def test_the_core_is_compiled_once_for_all_its_cells(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)

    rig.run()

    assert sorted(job.title for job in rig.engine.jobs) == sorted([CORE, BACKEND])


def test_a_second_run_does_nothing_at_all(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()

    second = rig.run()

    assert rig.engine.jobs == []
    assert rig.board.begun == []
    assert set(_states(second).values()) <= {"cached", "not run"}
    assert _cells(second) == _cells(first)
    assert [cell.verdicts for cell in second.cells] == [cell.verdicts for cell in first.cells]
    assert [cell.sha256 for cell in second.cells] == [cell.sha256 for cell in first.cells]


def test_fresh_does_everything_again_and_gives_the_same_bytes(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()

    second = rig.run(fresh=True)

    assert len(rig.engine.jobs) == 2
    assert [cell.sha256 for cell in second.cells] == [cell.sha256 for cell in first.cells]


def test_one_failed_component_fails_its_cells_only(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path, script={BACKEND: Ending.FAILED})

    report = rig.run()

    assert _cells(report) == {CPU: "unproven", VULKAN: "failed"}
    states = _states(report)
    assert states[BACKEND] == "failed"
    assert states[f"bundle:{VULKAN}@fake"] == "blocked"
    reason = {cell.id: cell.reason for cell in report.cells}[VULKAN]
    assert reason is not None
    assert reason.startswith(f"{BACKEND}: llama.cpp/linux-x86_64/vulkan: the command failed")


def test_what_failed_is_tried_again_and_the_rest_is_not(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path, script={BACKEND: Ending.FAILED})
    rig.run()

    rig.script = {}
    report = rig.run()

    assert [job.title for job in rig.engine.jobs] == [BACKEND]
    assert _cells(report) == {CPU: "unproven", VULKAN: "unproven"}


def test_a_hung_build_fails_the_timeout_gate(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path, script={BACKEND: Ending.TIMED_OUT})

    report = rig.run()

    cell = next(cell for cell in report.cells if cell.id == VULKAN)
    assert [(verdict.gate, verdict.status) for verdict in cell.verdicts] == [("timeout", Status.FAILED)]
    assert cell.state is CellState.FAILED


def test_out_of_memory_and_missing_output_are_failures_that_say_so(tmp_path: Path) -> None:
    for ending, words in ((Ending.OUT_OF_MEMORY, "memory"), (Ending.NO_OUTPUT, "left no")):
        rig = Rig(folder=tmp_path / ending.name, script={CORE: ending})

        report = rig.run()

        record = next(task for task in report.tasks if task.id == CORE)
        assert record.state is TaskState.FAILED
        assert words in (record.message or "")
        assert set(_cells(report).values()) == {"failed"}


def test_a_lost_archive_is_packed_again_without_compiling(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()
    for path in (tmp_path / "store" / "tasks" / "bundle").rglob("*.tar.zst"):
        path.unlink()

    second = rig.run()

    assert rig.engine.jobs == []
    assert [cell.sha256 for cell in second.cells] == [cell.sha256 for cell in first.cells]


def test_a_tampered_archive_is_noticed_and_made_again(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()
    asset = next((tmp_path / "dist").glob("*-cpu.tar.zst"))
    asset.write_bytes(b"tampered")

    second = rig.run()

    assert asset.read_bytes() != b"tampered"
    assert [cell.sha256 for cell in second.cells] == [cell.sha256 for cell in first.cells]
    assert rig.engine.jobs == []


def test_an_archive_that_was_only_touched_is_read_once_and_kept(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    asset = next((tmp_path / "dist").glob("*-cpu.tar.zst"))
    asset.touch()

    rig.run()

    assert rig.board.begun == []
    assert rig.run().cells[0].size == asset.stat().st_size


def test_a_missing_asset_in_dist_comes_back_from_the_store(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    asset = next((tmp_path / "dist").glob("*-cpu.tar.zst"))
    asset.unlink()

    rig.run()

    assert asset.is_file()
    assert rig.board.begun == []


def test_a_changed_limit_judges_again_without_packing(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()

    rig.text = MATRIX.replace("deadline: 60m", "deadline: 61m")
    report = rig.run()

    done = {task.kind for task in report.tasks if task.state is TaskState.DONE}
    assert done == {TaskKind.GATE}


def test_a_failed_gate_fails_the_cell_and_is_judged_again_next_time(tmp_path: Path) -> None:
    small = MATRIX.replace("max_unpacked: 120MB", "max_unpacked: 1kB")
    assert small != MATRIX
    rig = Rig(folder=tmp_path, text=small)

    report = rig.run()

    bad = [cell for cell in report.cells if cell.state is CellState.FAILED]
    assert bad
    assert "size" in {verdict.gate for verdict in bad[0].verdicts if verdict.status is Status.FAILED}
    again = rig.run()
    gate = next(task for task in again.tasks if task.id == f"gate:{bad[0].id}")
    assert gate.state is TaskState.FAILED


def test_a_waiver_holds_until_its_day_and_no_longer(tmp_path: Path) -> None:
    waived = (
        MATRIX.replace("max_unpacked: 120MB", "max_unpacked: 1kB")
        .replace("defaults:\n", 'defaults:\n  waivers: [{gate: size, reason: "known", until: 2026-12-01}]\n')
        .replace("2026-12-01", '"2026-12-01"')
    )
    rig = Rig(folder=tmp_path, text=waived)

    report = rig.run()

    sizes = {verdict.status for cell in report.cells for verdict in cell.verdicts if verdict.gate == "size"}
    assert Status.WAIVED in sizes
    assert Status.FAILED not in sizes
    rig.today = datetime.date(2026, 12, 2)
    late = rig.run()
    assert Status.FAILED in {
        verdict.status for cell in late.cells for verdict in cell.verdicts if verdict.gate == "size"
    }


def test_a_cell_whose_skipped_gates_are_waived_has_passed(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    before = {cell.id: cell for cell in rig.run().cells}
    skipped = [verdict.gate for verdict in before[CPU].verdicts if verdict.status is Status.SKIPPED]
    assert skipped
    waivers = ", ".join(f'{{gate: {gate}, reason: "tried by hand", until: "2026-12-01"}}' for gate in skipped)
    rig.text = MATRIX.replace("      backends: []\n", f"      backends: []\n      waivers: [{waivers}]\n")

    # The verdicts of the first run are in the store: they must not hide the new waivers.
    report = rig.run()

    cells = {cell.id: cell for cell in report.cells}
    assert {task.kind for task in report.tasks if task.state is TaskState.DONE} == {TaskKind.GATE}
    assert (cells[CPU].state, cells[CPU].reason) == (CellState.PASSED, None)
    waived = [verdict for verdict in cells[CPU].verdicts if verdict.status is Status.WAIVED]
    assert [(verdict.gate, verdict.reason, verdict.until) for verdict in waived] == [
        (gate, "tried by hand", "2026-12-01") for gate in skipped
    ]
    assert cells[VULKAN].state is CellState.UNPROVEN
    assert tally(report).sentence == "1 passed (1 with a waiver), 1 unproven, 0 failed, 0 not run"
    rig.today = datetime.date(2026, 12, 2)
    late = {cell.id: cell for cell in rig.run().cells}
    assert late[CPU].state is CellState.UNPROVEN
    assert "its waiver ended on 2026-12-01" in (late[CPU].reason or "")


def test_a_cancelled_run_reports_everything_and_resumes(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.cancel.set()

    stopped = rig.run()

    assert set(_states(stopped).values()) == {"not run"}
    assert set(_cells(stopped).values()) == {"not run"}
    rig.cancel = type(rig.cancel)()
    assert set(_cells(rig.run()).values()) == {"unproven"}


def test_a_run_killed_after_any_number_of_tasks_converges_to_the_same_bytes(tmp_path: Path) -> None:
    whole = Rig(folder=tmp_path / "whole").run()
    total = len(whole.tasks)
    for stop_after in range(total):
        rig = Rig(folder=tmp_path / str(stop_after))
        runner = rig.runner()
        ended = 0

        def count(record: object, rig: Rig = rig, limit: int = stop_after) -> None:
            nonlocal ended
            ended += 1
            if ended > limit:
                rig.cancel.set()

        rig.board.ended = count  # type: ignore[method-assign]
        runner.run()
        rig.cancel = type(rig.cancel)()

        again = rig.run()

        assert [cell.sha256 for cell in again.cells] == [cell.sha256 for cell in whole.cells]


def test_the_log_of_a_task_is_found_from_its_record(tmp_path: Path) -> None:
    report = Rig(folder=tmp_path).run()

    core = next(task for task in report.tasks if task.id == CORE)

    assert core.log is not None
    assert "forged bundle/libggml.so" in (tmp_path / "dist" / core.log).read_text()


def test_facts_of_a_bundle_read_back_from_the_store_are_those_of_the_run(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    runner = rig.runner()
    runner.run()
    name = f"bundle:{CPU}@fake"
    task = runner.context.tasks[name]

    entry = runner.context.store.find(task.kind, task.key)

    assert entry is not None
    assert BundleFacts.read(entry, rig.plan().assets[0]) == runner.context.results[name]
