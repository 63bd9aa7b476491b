"""Promises of a run when something is lost, damaged, edited or left over from before."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline.engines.base import Ending
from pipeline.engines.fake import FakeEngine
from pipeline.errors import CancelledError, ImageError, SourceError, StoreError
from pipeline.matrix.spec import Source
from pipeline.model import Status, TaskKind
from pipeline.plan.records import SourceWork, Task
from pipeline.report.record import CellState, RunReport
from pipeline.run.bundling import BundleFacts
from pipeline.run.earlier import earlier_cells
from pipeline.run.supply import supply
from pipeline.sources.keys import source_key
from tests.matrix.builders import MATRIX
from tests.run.builders import Rig

CPU = "llama.cpp/linux-x86_64/cpu"
VULKAN = "llama.cpp/linux-x86_64/vulkan"
CORE = "core:llama.cpp/linux-x86_64/core@fake"
BACKEND = "backend:llama.cpp/linux-x86_64/vulkan@fake"
OTHER_OPTIONS = MATRIX.replace('GGML_VULKAN: "ON"', 'GGML_VULKAN: "ON", GGML_OTHER: "ON"')
TOO_SMALL = MATRIX.replace("max_unpacked: 120MB", "max_unpacked: 1kB")


def _cells(report: RunReport) -> dict[str, CellState]:
    return {cell.id: cell.state for cell in report.cells}


def _tasks(report: RunReport) -> dict[str, str]:
    return {task.id: task.state for task in report.tasks}


def _digests(report: RunReport) -> list[str | None]:
    return [cell.sha256 for cell in report.cells]


def _entry(rig: Rig, name: str) -> Path:
    task = next(task for task in rig.plan().tasks if task.id == name)
    return rig.folder / "store" / "tasks" / task.kind / task.key


def _asset(rig: Rig, variant: str) -> Path:
    return rig.folder / "dist" / next(name for name in rig.plan().assets if f"-{variant}." in name)


def test_a_gate_waits_for_a_component_that_is_compiled_again(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    for name in (f"gate:{CPU}", f"gate:{VULKAN}", CORE):
        shutil.rmtree(_entry(rig, name))
    runner = rig.runner()
    runner.context.engines = {rig.engine.name: FakeEngine(seconds=0.05)}

    assert set(_cells(runner.run()).values()) == {CellState.UNPROVEN}


def test_an_archive_that_is_packed_again_is_judged_again(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    (_entry(rig, f"bundle:{CPU}@fake") / _asset(rig, "cpu").name).unlink()

    states = _tasks(rig.run())

    assert states[f"bundle:{CPU}@fake"] == "done"
    assert states[f"gate:{CPU}"] == "done"
    assert states[f"gate:{VULKAN}"] == "cached"


def test_verdicts_on_other_bytes_do_not_hold(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    place = _entry(rig, f"gate:{CPU}") / "result.json"
    facts = json.loads(place.read_text())
    place.write_text(json.dumps({**facts, "archives": ["0" * 64, None]}))

    assert _tasks(rig.run())[f"gate:{CPU}"] == "done"


def test_earlier_verdicts_do_not_hold_for_another_archive_of_that_name(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    rig.text = OTHER_OPTIONS
    rig.run()
    rig.text = MATRIX

    cells = earlier_cells(rig.runner().context, rig.plan(), [CPU]).cells

    assert [(cell.state, cell.sha256, cell.reason) for cell in cells] == [
        (CellState.NOT_RUN, None, "not asked for in this run")
    ]


def test_an_earlier_failure_is_still_told_though_its_archive_is_not_in_dist(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path, text=TOO_SMALL)
    rig.run()

    cells = {cell.id: cell.state for cell in earlier_cells(rig.runner().context, rig.plan(), []).cells}

    assert cells == {CPU: CellState.FAILED, VULKAN: CellState.UNPROVEN}


@pytest.mark.parametrize("text", ['{"verdicts": 5}', "{}", "[]", "", '{"stamp": {}}'])
@pytest.mark.parametrize("name", [f"gate:{CPU}", f"bundle:{CPU}@fake"])
def test_earlier_cells_survive_a_damaged_store(name: str, text: str, tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    (_entry(rig, name) / "result.json").write_text(text)

    cells = earlier_cells(rig.runner().context, rig.plan(), []).cells

    assert {cell.id: cell.state for cell in cells} == {CPU: CellState.NOT_RUN, VULKAN: CellState.UNPROVEN}


@pytest.mark.parametrize("text", ['{"verdicts": 5}', "{}", '{"seconds": "x"}', '{"build_id": "", "seconds": 1}'])
@pytest.mark.parametrize("name", [f"gate:{CPU}", f"bundle:{CPU}@fake", CORE])
def test_a_damaged_entry_is_done_again(name: str, text: str, tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()
    (_entry(rig, name) / "result.json").write_text(text)
    shutil.rmtree(_entry(rig, f"gate:{VULKAN}"))

    second = rig.run()

    assert _cells(second) == _cells(first)
    assert _digests(second) == _digests(first)
    assert all(cell.verdicts for cell in second.cells)


@pytest.mark.parametrize("lost", [True, False])
def test_a_component_with_a_lost_or_empty_file_is_compiled_again(lost: bool, tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()
    library = _entry(rig, CORE) / "bundle" / "libllama.so"
    library.unlink() if lost else library.write_bytes(b"")
    shutil.rmtree(_entry(rig, f"bundle:{CPU}@fake"))

    assert _digests(rig.run()) == _digests(first)


def test_an_old_archive_does_not_stay_when_the_new_one_cannot_be_made(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    rig.text, rig.script = OTHER_OPTIONS, {BACKEND: Ending.FAILED}

    report = rig.run()

    assert _cells(report)[VULKAN] is CellState.FAILED
    assert not _asset(rig, "vulkan").exists()
    assert _asset(rig, "cpu").is_file()


def test_an_archive_whose_gate_failed_is_not_in_dist_but_in_the_store(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    rig.text = TOO_SMALL
    runner = rig.runner()

    report = runner.run()

    assert _cells(report) == {CPU: CellState.FAILED, VULKAN: CellState.UNPROVEN}
    assert not _asset(rig, "cpu").exists()
    assert _asset(rig, "vulkan").is_file()
    kept = runner.context.result(f"bundle:{CPU}@fake", BundleFacts).bundle.path
    assert kept.is_file()
    assert str(kept) in str(runner.errors[0].hint)  # type: ignore[attr-defined]


def test_a_dist_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    shutil.rmtree(tmp_path / "dist")
    (tmp_path / "dist").write_text("a file")

    with pytest.raises(StoreError, match="cannot be"):
        rig.run()


def test_the_log_of_an_earlier_run_is_not_given_to_a_task_that_did_not_run(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    assert {task.id: task.log for task in rig.run().tasks}[BACKEND] is not None
    rig.text = OTHER_OPTIONS
    rig.cancel.set()

    assert {task.id: task.log for task in rig.run().tasks}[BACKEND] is None


def test_a_gate_that_breaks_does_not_show_the_verdicts_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(folder=tmp_path, text=TOO_SMALL)
    rig.run()

    def broken(archive: Path, folder: Path) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.run.judging.unpack", broken)
    cell = next(cell for cell in rig.run().cells if cell.id == CPU)

    assert cell.state is CellState.FAILED
    assert cell.verdicts == ()
    assert "No space left" in (cell.reason or "")


def test_the_timeout_gate_uses_the_deadline_of_today(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    rig.run()
    place = _entry(rig, CORE) / "result.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "seconds": 1800.0}))
    rig.text = MATRIX.replace("deadline: 60m", "deadline: 20m")

    report = rig.run()

    assert rig.engine.jobs == []
    verdicts = {verdict.gate: verdict.status for cell in report.cells if cell.id == CPU for verdict in cell.verdicts}
    assert verdicts["timeout"] is Status.FAILED


def test_a_new_version_of_the_same_commit_is_packed_without_compiling(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    first = rig.run()
    rig.text = MATRIX.replace("version: 0.5.0-dev", "version: 0.5.0")

    second = rig.run()

    assert rig.engine.jobs == []
    assert not set(_digests(second)) & set(_digests(first))


def test_a_stop_while_gates_run_leaves_no_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(folder=tmp_path)
    runner = rig.runner()

    def stop(subject: object, today: object) -> tuple[()]:
        rig.cancel.set()
        return ()

    monkeypatch.setattr("pipeline.gates.suite.judge", stop)
    report = runner.run()

    assert set(_cells(report).values()) == {CellState.NOT_RUN}
    assert CellState.PASSED not in _cells(report).values()
    assert not list((tmp_path / "store" / "tasks").glob("gate/*"))
    assert not list((tmp_path / "dist").glob("*.tar.zst"))


def test_what_was_stopped_by_fail_fast_is_not_given_as_the_error(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    runner = rig.runner(fail_fast=True)
    runner.options = replace(runner.options, memory=2**40)
    tasks = runner.context.tasks

    def execute(name: str) -> NoReturn:
        if tasks[name].kind is TaskKind.CORE:
            # The first in the plan's order ends second, and only because it was told to.
            rig.cancel.wait(10)
            msg = "it was stopped"
            raise CancelledError(msg)
        msg = "no such package"
        raise ImageError(msg)

    runner._execute = execute  # type: ignore[method-assign]
    # Light tasks, so that both run at once.
    runner.plan = replace(runner.plan, tasks=tuple(replace(task, cpus=0) for task in runner.plan.tasks))

    runner.run()

    assert [type(error) for error in runner.errors] == [ImageError]


def test_a_script_edited_during_the_build_is_not_kept_under_its_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(folder=tmp_path)
    monkeypatch.setattr("pipeline.run.compiling.folder_digest_now", lambda folder: "edited")

    report = rig.run()

    record = next(task for task in report.tasks if task.id == CORE)
    assert record.state == "failed"
    assert "changed while llama.cpp/linux-x86_64/core was being built" in (record.message or "")
    assert not _entry(rig, CORE).exists()


def test_a_folder_edited_after_the_plan_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "llama.cpp"
    folder.mkdir()
    (folder / "LICENSE").write_text("MIT")
    source = Source(version="1", epoch=1790820708)
    key = source_key("llama.cpp", source, folder)
    work = SourceWork(name="llama.cpp", source=source, local=str(folder))
    task = Task(id="source:llama.cpp", kind=TaskKind.SOURCE, key=key, work=work)
    context = Rig(folder=tmp_path).runner().context

    assert supply(context, task, tmp_path / "log") == "done"
    (folder / "LICENSE").write_text("mine")
    with pytest.raises(SourceError, match="changed since the plan was made"):
        supply(context, task, tmp_path / "log")
