from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.model import TaskState
from pipeline.report.page import build_page
from pipeline.report.record import CellState
from pipeline.report.view import Density
from tests.report.builders import many, report

RUN = report()
PAGE = build_page(RUN, Density.FULL)


def test_the_matrix_has_every_combination() -> None:
    llama = PAGE.grids[0]

    assert llama.project == "llama.cpp"
    assert llama.variants == ("cpu", "cuda12", "cuda13", "rocm-gfx1100", "vulkan", "all", "metal")
    assert [platform for platform, _ in llama.rows] == [
        "linux-x86_64",
        "linux-aarch64",
        "darwin-arm64",
        "darwin-x86_64",
    ]
    states = {slot.state for _, slots in llama.rows for slot in slots}
    assert states == {"passed", "unproven", "failed", "not run", "left out"}


def test_a_slot_without_a_bundle_refers_to_its_reason() -> None:
    llama = PAGE.grids[0]
    slot = dict(llama.rows)["linux-x86_64"][1]

    assert slot.state == "not run"
    assert llama.feet[slot.foot - 1] == "a CUDA 12 image (toolkit 12.4)"


def test_a_failed_slot_names_its_gates() -> None:
    slot = dict(PAGE.grids[0].rows)["linux-x86_64"][5]

    assert (slot.state, slot.note, slot.size) == ("failed", "size, closure", "66.9 MB")


def test_a_combination_outside_of_the_run_is_not_called_left_out() -> None:
    page = build_page(replace(RUN, left_out=()), Density.FULL)

    assert dict(page.grids[0].rows)["darwin-arm64"][0].state == ""


@pytest.mark.parametrize(
    ("log", "href"),
    [
        ("logs/core/llama.cpp.log", "./logs/core/llama.cpp.log"),
        ("logs/a b#c?d%.log", "./logs/a%20b%23c%3Fd%25.log"),
        ("javascript:alert(1)", None),
        ("https://evil.invalid/x", None),
        ("//evil.invalid/x", None),
        ("/etc/passwd", None),
        ("logs/../../x", None),
        ("logs\\..\\x", None),
        ("", None),
    ],
)
def test_a_log_leads_into_the_folder_only(log: str, href: str | None) -> None:
    task = replace(RUN.tasks[2], log=log)
    page = build_page(replace(RUN, tasks=(task,)), Density.FULL)

    assert page.slowest[0].log is not None
    assert page.slowest[0].log.href == href


def test_anchors_are_unique_and_plain() -> None:
    cells = tuple(replace(RUN.cells[0], id=name) for name in ("a/b/c", "a b", '"><script>', "x" * 200))
    page = build_page(replace(RUN, cells=cells), Density.FULL)

    assert [cell.anchor for cell in page.cells] == ["a/b/c", "cell-1", "cell-2", "cell-3"]


def test_long_details_are_counted() -> None:
    verdict = replace(RUN.cells[0].verdicts[0], details=tuple(f"line {at}" for at in range(50)))
    page = build_page(replace(RUN, cells=(replace(RUN.cells[0], verdicts=(verdict,)),)), Density.FULL)

    assert page.cells[0].gates[0].details[-1] == "10 more lines in report.json"


def test_a_compact_page_names_passed_gates_and_tells_the_others() -> None:
    page = build_page(RUN, Density.COMPACT)
    vulkan = next(cell for cell in page.cells if cell.id.endswith("x86_64/vulkan"))

    assert [(gate.gate, gate.status) for gate in vulkan.gates] == [("smoke", "skipped"), ("repro", "skipped")]
    assert vulkan.named == (("passed", "timeout, size, backend, abi, closure, tests, licences"),)


def test_a_bare_page_still_tells_failed_from_skipped() -> None:
    page = build_page(RUN, Density.BARE)
    kitchen = next(cell for cell in page.cells if cell.id.endswith("x86_64/all"))

    assert kitchen.gates == ()
    assert dict(kitchen.named)["failed"] == "size, closure"
    assert dict(kitchen.named)["skipped"] == "repro"


def test_bars_start_where_their_task_did() -> None:
    bars = {bar.task: bar for bar in PAGE.bars}

    assert bars["source:llama.cpp"].state == "cached"
    assert bars["source:llama.cpp"].time == ""
    assert bars["gate:llama.cpp/linux-x86_64/cpu"].begin == 492.4
    assert bars["gate:llama.cpp/linux-x86_64/cpu"].length == 506.9
    assert all(0 <= bar.begin <= 1000 for bar in PAGE.bars)


def test_short_tasks_of_a_big_run_are_counted_not_drawn() -> None:
    page = build_page(many(400), Density.FULL)

    assert len(page.bars) == 300
    assert page.undrawn == 500


def test_ten_tasks_are_the_slowest() -> None:
    assert [bar.time for bar in PAGE.slowest][:3] == ["15m30s", "15m28s", "14m51s"]
    assert len(PAGE.slowest) == 10


def test_a_run_without_times_has_a_page() -> None:
    run = replace(
        RUN, started=1e300, ended=1e300, tasks=(replace(RUN.tasks[0], started=None, state=TaskState.NOT_RUN),)
    )
    page = build_page(run, Density.FULL)

    assert page.started == "at an unknown time"
    assert page.bars == ()


def test_a_cell_with_verdicts_is_told_even_if_it_was_not_run() -> None:
    cell = replace(RUN.cells[0], state=CellState.NOT_RUN)

    assert build_page(replace(RUN, cells=(cell,)), Density.FULL).cells[0].gates
