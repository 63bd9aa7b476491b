from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline.model import Status
from pipeline.report.record import CellState
from pipeline.report.summary import Tone, summary, summary_text
from pipeline.report.text import ASCII
from tests.report.builders import HOSTILE, report
from tests.report.golden import compare

RUN = report()


def test_golden(request: pytest.FixtureRequest) -> None:
    text = summary_text(RUN) + "\n" + "=" * 40 + "\n\n" + summary_text(RUN, width=40, glyphs=ASCII)

    compare("summary.txt", text, update=request.config.getoption("--update-golden"))


@pytest.mark.parametrize("width", [1, 20, 40, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(cell_len(line.text) for line in summary(RUN, width=width)) <= max(width, 20)


@given(st.text(st.characters(exclude_categories=()), max_size=300), st.integers(20, 120))
def test_any_text_stays_on_its_lines(text: str, width: int) -> None:
    cells = (
        replace(RUN.cells[0], state=CellState.FAILED, reason=text, verdicts=(), variant=text[:40]),
        *RUN.cells[4:6],
    )
    lines = summary(replace(RUN, cells=cells), width=width)

    assert all(line.text.isprintable() or not line.text.isascii() for line in lines)
    assert max(cell_len(line.text) for line in lines) <= width


def test_hostile_text_is_inert() -> None:
    cells = tuple(replace(RUN.cells[0], id=f"a/b/{at}", variant=text) for at, text in enumerate(HOSTILE))
    text = summary_text(replace(RUN, cells=cells, tasks=()), width=400)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("\n") == len(HOSTILE) + 5


def test_skipped_and_failed_have_their_own_tone() -> None:
    tones = {
        line.text.split()[0] + " " + line.text.split()[2]: line.tone for line in summary(RUN) if "cpp  " in line.text
    }

    assert tones["llama.cpp vulkan"] is Tone.UNPROVEN
    assert tones["llama.cpp all"] is Tone.FAILED
    assert tones["llama.cpp cpu"] is Tone.PASSED


def test_a_cell_without_verdicts_is_not_called_passed() -> None:
    run = replace(RUN, cells=(replace(RUN.cells[0], state=CellState.PASSED, verdicts=()),), tasks=())

    assert "no gate looked at it" in summary_text(run)
    assert "0 passed, 1 unproven" in summary_text(run)


def test_a_reason_is_told_where_no_gate_says_more() -> None:
    cell = replace(RUN.cells[0], state=CellState.FAILED, verdicts=(), reason="core failed: exit code 1")

    assert "core failed: exit code 1" in summary_text(replace(RUN, cells=(cell,)))


def test_an_empty_run_says_so() -> None:
    text = summary_text(replace(RUN, cells=(), tasks=(), left_out=()))

    assert text.startswith("nothing was built: 0 passed, 0 unproven, 0 failed, 0 not run; 0 combinations left out")


def test_a_waiver_names_its_end() -> None:
    assert any(verdict.status is Status.WAIVED for cell in RUN.cells for verdict in cell.verdicts)
    text = summary_text(RUN, width=200)
    assert "Waived gates: failed or skipped, and accepted for a while" in text
    assert "test-sampling needs 20 minutes under qemu-user (until 2026-12-31)" in text
