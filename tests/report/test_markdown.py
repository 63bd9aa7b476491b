from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.markdown import escape, markdown
from tests.report.builders import HOSTILE, many, report

RUN = report()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert(text: str) -> None:
    escaped = escape(text)

    assert "<" not in escaped
    assert "://" not in escaped
    assert "@" not in escaped
    assert "\n" not in escaped
    assert "|" not in escaped.replace("\\|", "")
    assert "`" not in escaped.replace("\\`", "")


@given(st.text(max_size=100))
def test_a_cell_of_the_table_stays_one(text: str) -> None:
    cells = (replace(RUN.cells[0], platform=text or "x", variant="v"),)
    table = markdown(replace(RUN, cells=cells, left_out=(), tasks=()), limit=10**6).split("### ", 1)[1]
    rows = [line for line in table.splitlines() if line.startswith("|")]

    assert len({row.replace("\\|", "").replace("\\\\", "").count("|") for row in rows[:3]}) == 1


@pytest.mark.parametrize("limit", [0, 10, 100, 1000, 10_000, 1_000_000])
def test_the_limit_holds(limit: int) -> None:
    assert len(markdown(many(200, text="é" * 50), limit=limit).encode()) <= limit


def test_what_does_not_fit_is_counted() -> None:
    text = markdown(many(2000, text="x" * 2000), limit=400_000)

    assert len(text.encode()) <= 400_000
    assert text.endswith("report.html holds everything.\n")


def test_a_combination_outside_of_the_run_is_not_called_left_out() -> None:
    text = markdown(replace(RUN, left_out=()), limit=10**6)

    assert "left out |" not in text
    assert "not in this run" in text


def test_a_waiver_is_told_with_its_reason_and_its_end() -> None:
    text = markdown(RUN, limit=10**6)

    assert "### Waived gates: failed or skipped, and accepted for a while" in text
    assert (
        "- **llama.cpp/linux-aarch64/cpu tests**: test-sampling needs 20 minutes under qemu-user (until 2026-12-31)"
        in text
    )
